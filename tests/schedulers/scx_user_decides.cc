// scx_user_decides: takes pids of waiting tasks from a queue and gives them back by another, as fast as it can. After
// --fail-after decisions it decides nothing more; after --seconds it ends.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sched.h>
#include <semaphore.h>
#include <time.h>

#include <cstdio>

#include "tests/schedulers/common/scx_user.h"

namespace {

double seconds() {
  timespec t{};
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}

unsigned long long decisions;
sem_t work;  // --fault 1: posted by a thread that is not there
double started, last;

bool decide(bpf_object* object, const scx_config& config) {
  static const int asked = bpf_map__fd(bpf_object__find_map_by_name(object, "asked"));
  static const int decided = bpf_map__fd(bpf_object__find_map_by_name(object, "decided"));
  if (started == 0) started = seconds();
  last = seconds();
  if (config.seconds != 0 && last - started >= static_cast<double>(config.seconds)) return false;
  __s32 pid = 0;
  while (bpf_map_lookup_and_delete_elem(asked, nullptr, &pid) == 0) {
    if (config.fail_after != 0 && decisions >= config.fail_after) break;
    while (bpf_map_update_elem(decided, nullptr, &pid, BPF_ANY) != 0) ::sched_yield();  // full
    ++decisions;
  }
  const bool gave_up = config.fail_after != 0 && decisions >= config.fail_after;
  while (gave_up && config.fault != 0) ::sem_wait(&work);  // nobody posts it
  const timespec pause{.tv_sec = 0, .tv_nsec = 50'000'000};
  gave_up ? ::nanosleep(&pause, nullptr) : ::sched_yield();
  return true;
}

void tell(double of_last) { std::printf("[user_decides] %llu decisions in %.3f s\n", decisions, of_last); }

}  // namespace

int main(int argc, char** argv) {
  const scx::Option options[] = {
      {"--fail-after", &scx_config::fail_after, 0, "decisions before it makes no more; 0: it goes on"},
      {"--fault", &scx_config::fault, 0, "1: after --fail-after decisions it sleeps for ever"},
      {"--seconds", &scx_config::seconds, 0, "time after which it ends; 0: none"},
  };
  const int status = scx::run({.name = "user_decides", .options = options, .serve = decide}, argc, argv);
  if (started != 0) tell(last - started);
  return status;
}
