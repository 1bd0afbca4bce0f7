// What a body's context uses: the plan in the VM, the socket on which it reports checks, the running workers.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ktstr/result.h"
#include "ktstr/test.h"
#include "sdk/registry.h"

namespace ktstr {

struct CheckLine {
  std::string name;
  TestVerdict verdict = TestVerdict::kPass;
  std::string observed, threshold, detail;
};

// ktstr-init asks the body to end (SIGTERM: the scheduler is gone, or time is up): run_for() returns, so that
// workers still report.
void catch_stop_request();
bool stop_requested();

struct TestContext::Impl {
  // In the VM: reads /ktstr/plan.bin and takes the socket that KTSTR_CHECK_FD names.
  static Result<std::unique_ptr<Impl>> open(const RegisteredTest& test);

  void send_check(const CheckLine& check);
  void operation_failed(const std::string& what);
  // False: it could not be reported.
  bool send_result(const TestResult& result);
  // The CPUs that workers in this group may run on, from now on. `keep_old`: the change is under way.
  void allow(const std::string& cgroup, const std::string& cpus, bool keep_old);
  void moved(const std::string& from, const std::string& to);
  bool send(const std::string& json);
  void stop_all();

  std::string test, file;
  unsigned line = 0;
  CpuTopology topology;
  std::chrono::nanoseconds duration{0};
  double time_scale = 1;
  bool has_scheduler = false;
  std::string cgroup_root = "/sys/fs/cgroup";
  int check_fd = -1;  // -1: outside of a VM; lines go to stdout
  unsigned failed = 0, checks = 0;
  std::vector<std::shared_ptr<Workers::State>> workers;
};

}  // namespace ktstr
