// One trial of a search (explore, minimize, bisect): a spec is run as a process of its own, `ktstr-launch run`, and what its log
// says of the end is read.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/child.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace ktstr {

struct TrialRequest {
  std::vector<std::string> specs, filters, scheduler_dirs;
  std::string kernel;                // as --kernel; empty: the default
  std::optional<uint64_t> seed;      // a deterministic run with it; nothing: a plain run
  std::string strategy = "random";   // with a seed
  std::string drop;                  // with a seed: perturbations that it does without, as --drop
  std::vector<std::string> options;  // further options of run
};
// The command as a user gives it: "ktstr-launch", "run", ….
std::vector<std::string> trial_command(const TrialRequest& request);

struct TrialEnd {
  int exit_code = 0;      // of the run (schemas/exit_code.h); of one that a signal killed: infrastructure
  std::string summary;    // the verdict's; empty: there is none
  std::string signature;  // of its crash; empty: none
  std::string log;        // events.ktlog, of several tests one that did not pass; empty: none was begun
  size_t logs = 0;        // tests that were run
  std::string scheduler;  // path of its binary; empty: none, or not told
  std::string words;      // the last line that the run printed on stderr or stdout
};

// What a log says of its run's end; without a verdict an infrastructure failure.
TrialEnd read_trial_log(const std::string& log);

// By what two failures are compared: the signature; of a failure without a crash its summary, numbers and tasks taken out. Empty: it
// did not fail.
std::string failure_of(const TrialEnd& end);
// "passed", "fails: SIGNATURE", "no verdict: …".
std::string trial_text(const TrialEnd& end);

// Trials that go on. SIGINT, SIGTERM and SIGHUP of this process end them, as does the end of the time: each is interrupted and
// then has 15 s; a second signal kills them.
class Trials {
 public:
  // Catches the three signals from here on. `launcher`: path of ktstr-launch. REQUIRES: main thread; one object at a time.
  explicit Trials(std::string launcher);
  ~Trials();
  Trials(const Trials&) = delete;
  Trials& operator=(const Trials&) = delete;

  // CLOCK_MONOTONIC; UINT64_MAX: there is no end.
  void end_at(uint64_t ns) { end_ns_ = ns; }

  // `folder`: of the run's files; what the run prints goes to FOLDER.txt.
  Status start(size_t id, const TrialRequest& request, const std::string& folder);
  size_t running() const { return jobs_.size(); }
  struct Ended {
    size_t id;
    TrialEnd end;
  };
  // The next that ends; what a trial says that ended because of `ending()` is worth nothing. REQUIRES: one runs.
  Ended wait();

  // The signal that came; 0: none.
  int signal() const { return signal_; }
  bool out_of_time() const;
  // Nothing should be started any more.
  bool ending() const { return signal_ != 0 || out_of_time(); }

 private:
  struct Job {
    size_t id;
    std::string folder;
    Child child;
  };
  void take_signals();
  void end_jobs();

  std::string launcher_;
  std::vector<Job> jobs_;
  UniqueFd signals_;
  int signal_ = 0;
  uint64_t end_ns_ = UINT64_MAX;
  uint64_t kill_ns_ = UINT64_MAX;  // CLOCK_MONOTONIC; what still runs then is killed
};

}  // namespace ktstr
