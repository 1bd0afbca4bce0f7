// What a VM costs before its workload and after it: from a template, by a cold boot, and a bare QEMU with the same kernel, CPUs
// and accelerator up to the first line of an init that does nothing else. One sitting, rounds that alternate, medians.
//
// Usage: ktstr_vm_bench KTSTR_LAUNCH SCHEDULER_DIR BARE_INIT [ROUNDS] [RUNS IN A ROW]
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "launcher/vm/initramfs.h"
#include "schemas/event_generated.h"
#include "schemas/guest_generated.h"
#include "schemas/log_reader.h"
#include "schemas/repro_generated.h"
#include "schemas/run_generated.h"
#include "tests/bench/bench_kit.h"

namespace ktstr::bench {
namespace {

namespace fs = std::filesystem;

constexpr char kIdleSpec[] =
    "[[test]]\nname = \"idle\"\ncores = 4\nthreads = 1\nmemory_mb = 1024\nduration_s = 1\nmax_gap_ms = 0\n"
    "not_starved = false\n  [[test.cgroup]]\n  name = \"g\"\n  workers = 1\n  work = \"Bursty\"\n  burst_ms "
    "= 1\n"
    "  pause_ms = 200\n";
constexpr char kCrashSpec[] =
    "[scheduler.bad]\nbinary = \"scx_bad_dsq\"\n[[test]]\nname = \"crash\"\nscheduler = \"bad\"\ncores = 4\n"
    "threads = 1\nmemory_mb = 1024\nduration_s = 10\n  [[test.cgroup]]\n  name = \"g\"\n  workers = 4\n"
    "  work = \"PipeIo\"\n";

// Of one run, in seconds.
struct Told {
  std::vector<std::string> qemu;
  std::string template_name;
  double ready = 0;      // QEMU's start to the guest's first word on the bus
  double wall = 0;       // the whole command
  double elsewhere = 0;  // of it outside the workloads and the placing of probes
  bool repro = false;
};

int shell(const std::string& command) {
  const int status = std::system(command.c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

std::optional<Told> run_once(const std::string& launch, const std::string& more, const Folder& folder,
                             const std::string& spec, int expected) {
  const std::string out = folder.file("out");
  fs::remove_all(out);
  Stopwatch watch;
  const int code = shell(launch + " run " + folder.file(spec + ".toml") + " -q " + more + " --out " + out +
                         " > " + folder.file("said.txt") + " 2>&1");
  Told told;
  told.wall = watch.seconds();
  auto log = LogReader::open(out + "/" + spec + "/events.ktlog");
  if (code != expected || !log) {
    std::printf("FAIL  %s: exit code %d\n", spec.c_str(), code);
    (void)shell("tail -n 20 " + folder.file("said.txt"));
    return std::nullopt;
  }
  double began = 0, work[2] = {}, busy = 0;
  while (auto event = log->next()) {
    if (!*event) break;
    const EventBuffer& e = **event;
    const double now = static_cast<double>(e->stamp()->host_ns()) / 1e9;
    const bool repro = e.vm() == Vm::Repro;
    if (const auto* started = e.as<VmStarted>(); started && !repro) {
      began = static_cast<double>(started->began_ns()) / 1e9;
      if (started->template_()) told.template_name = started->template_()->str();
      for (const auto* word : *started->cmdline()) told.qemu.push_back(word->str());
    } else if (const auto* stage = e.as<StageReached>()) {
      if (stage->stage() == Stage::InitStarted && !repro && told.ready == 0) told.ready = now - began;
      if (stage->stage() == Stage::WorkloadStarted) work[repro] = now;
      if (stage->stage() == Stage::WorkloadFinished && work[repro] > 0)
        busy += now - work[repro], work[repro] = 0;
    } else if (const auto* probes = e.as<ProbeAttached>()) {
      busy += static_cast<double>(probes->attach_ns()) / 1e9;
      told.repro = true;
    } else if (e.as<VmExited>() && work[repro] > 0) {
      busy += now - work[repro], work[repro] = 0;
    }
  }
  told.elsewhere = told.wall - busy;
  return told;
}

std::string word_after(const std::vector<std::string>& words, const std::string& option) {
  const auto at = std::find(words.begin(), words.end(), option);
  return at == words.end() || at + 1 == words.end() ? "" : *(at + 1);
}

// Seconds from QEMU's start to the init's line on the serial console; negative: it never came.
double bare_boot(const std::vector<std::string>& ours, const std::string& initrd) {
  std::vector<std::string> words = {
      ours[0], "-nographic", "-no-reboot",   "-accel",  word_after(ours, "-accel"),  "-smp",
      "4",     "-m",         "1024",         "-kernel", word_after(ours, "-kernel"), "-initrd",
      initrd,  "-append",    "console=ttyS0"};
  std::vector<char*> argv;
  for (std::string& w : words) argv.push_back(w.data());
  argv.push_back(nullptr);
  int ends[2];
  if (::pipe(ends) != 0) return -1;
  Stopwatch watch;
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::dup2(::open("/dev/null", O_RDWR), 0);
    ::dup2(ends[1], 1);
    ::execvp(argv[0], argv.data());
    ::_exit(127);
  }
  ::close(ends[1]);
  const UniqueFd from(ends[0]);
  std::string text;
  char chunk[4096];
  double seconds = -1;
  for (ssize_t n; (n = ::read(from.get(), chunk, sizeof chunk)) > 0;) {
    text.append(chunk, static_cast<size_t>(n));
    if (text.find("bare init") == std::string::npos) continue;
    seconds = watch.seconds();
    break;
  }
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
  return seconds;
}

// What runs leave where they make their sockets and pass files on.
size_t left_in(const std::string& folder) {
  size_t count = 0;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    std::printf("left: %s\n", entry.path().c_str());
    ++count;
  }
  return count;
}

// Sockets and a cache of templates of this bench alone; the kernels and what was learned of the host are the user's.
bool use_own_folders(const Folder& folder) {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  const std::string ours = folder.file("cache/ktstr");
  const std::string users =
      (cache ? std::string(cache) : std::string(home ? home : "") + "/.cache") + "/ktstr";
  fs::create_directories(ours);
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(users, error))
    if (entry.path().filename() != "templates")
      fs::create_symlink(entry.path(), ours + "/" + entry.path().filename().string());
  ::mkdir(folder.file("runtime").c_str(), 0700);
  ::setenv("XDG_RUNTIME_DIR", folder.file("runtime").c_str(), 1);
  ::setenv("XDG_CACHE_HOME", folder.file("cache").c_str(), 1);
  return !error;
}

int run(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr,
                 "usage: ktstr_vm_bench KTSTR_LAUNCH SCHEDULER_DIR BARE_INIT [ROUNDS] [RUNS IN A ROW]\n");
    return 2;
  }
  const std::string launch = argv[1], schedulers = std::string("--scheduler-dir ") + argv[2];
  const int rounds = argc > 4 ? std::atoi(argv[4]) : 5, in_a_row = argc > 5 ? std::atoi(argv[5]) : 50;
  ::unsetenv("KTSTR_NO_TEMPLATE");
  ::unsetenv("RUST_BACKTRACE");
  Folder folder;
  std::ofstream(folder.file("idle.toml")) << kIdleSpec;
  std::ofstream(folder.file("crash.toml")) << kCrashSpec;
  Initramfs bare;
  const std::string initrd = folder.file("bare.cpio");
  if (!bare.add_program("/init", argv[3]) || !bare.write(initrd) || !use_own_folders(folder)) {
    std::fprintf(stderr, "cannot prepare %s\n", folder.path().c_str());
    return 3;
  }

  // The first run of each makes its template.
  if (!run_once(launch, "", folder, "idle", 0) || !run_once(launch, schedulers, folder, "crash", 1)) return 1;
  double bytes = 0;
  for (const auto& entry : fs::directory_iterator(folder.file("cache/ktstr/templates")))
    if (entry.path().extension() == ".ktvm") {
      struct stat st{};
      ::stat(entry.path().c_str(), &st);
      bytes = std::max(bytes, static_cast<double>(st.st_blocks) * 512);
    }

  std::vector<double> warm, cold, bare_s, crash_warm, crash_cold;
  for (int round = 0; round < rounds; ++round) {
    const auto restored = run_once(launch, "", folder, "idle", 0);
    const auto booted = run_once(launch, "--no-template", folder, "idle", 0);
    if (!restored || !booted) return 1;
    if (restored->template_name.empty()) {
      std::printf("FAIL  a run did not use the template\n");
      return 1;
    }
    const double naked = bare_boot(booted->qemu, initrd);
    const auto crash = run_once(launch, schedulers, folder, "crash", 1);
    const auto crash_booted = run_once(launch, schedulers + " --no-template", folder, "crash", 1);
    if (naked < 0 || !crash || !crash_booted || !crash->repro || !crash_booted->repro) {
      std::printf("FAIL  round %d has no number\n", round + 1);
      return 1;
    }
    std::printf(
        "round %d: guest ready %.2f s from a template, %.2f s booted, %.2f s bare; a crash and its repro "
        "%.2f s (%.2f s "
        "of it outside workloads and probes), %.2f s (%.2f s) booted\n",
        round + 1, restored->ready, booted->ready, naked, crash->wall, crash->elsewhere, crash_booted->wall,
        crash_booted->elsewhere);
    warm.push_back(restored->ready);
    cold.push_back(booted->ready);
    bare_s.push_back(naked);
    crash_warm.push_back(crash->elsewhere);
    crash_cold.push_back(crash_booted->elsewhere);
  }

  for (int i = 0; i < in_a_row; ++i)
    if (!run_once(launch, "", folder, "idle", 0)) return 1;
  const double left = static_cast<double>(left_in(folder.file("runtime")));

  Bars bars;
  bars.at_most("guest ready from a template, in bare boots", median(warm) / median(bare_s), 0.05);
  bars.at_most("guest ready by a cold boot, in bare boots", median(cold) / median(bare_s), 1.0);
  bars.at_most("a crash and its repro outside workloads and probe load, templates over cold boots",
               median(crash_warm) / median(crash_cold), 0.25);
  bars.at_most("the largest template on the disk, MB", bytes / 1e6, 120);
  bars.at_most("files that " + std::to_string(in_a_row) + " runs in a row leave", left, 0);
  return bars.exit_code();
}

}  // namespace
}  // namespace ktstr::bench

int main(int argc, char** argv) { return ktstr::bench::run(argc, argv); }
