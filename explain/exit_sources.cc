#include "explain/exit_sources.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "scx/scx_words.h"
#include "scx/vocabulary.h"

namespace ktstr {
namespace {

constexpr uint64_t kNear = 2000;  // lines that lie between two sources of one exit at most

bool same_start(const std::string& a, const std::string& b) {
  if (a.empty() || b.empty()) return true;
  const size_t n = std::min(a.size(), b.size());
  return std::string_view(a).substr(0, n) == std::string_view(b).substr(0, n);
}

bool same_exit(const ExitSource& a, const ExitSource& b) {
  if (b.line > a.last + kNear) return false;
  if (a.console == b.console && a.told && b.told &&
      (a.console || (!a.dump->cpus().empty() && !b.dump->cpus().empty())))
    return false;
  const ExitSource& whole = a.told ? a : b;
  const ExitSource& other = a.told ? b : a;
  if (!whole.told) return false;
  if (!other.told) {  // a part of a dump
    if (other.dump == nullptr || (whole.dump && !whole.dump->tasks().empty())) return false;
    const int stalled = to_crash(ScxWords::Error{whole.exit, ""}).stall_task_pid;
    return stalled != 0 ? other.dump->find(stalled) != nullptr : true;
  }
  if (!a.exit.reason.empty() && !b.exit.reason.empty() && a.exit.reason != b.exit.reason) return false;
  if (!a.exit.ops_name.empty() && !b.exit.ops_name.empty() && a.exit.ops_name != b.exit.ops_name)
    return false;
  if (a.console == b.console && (a.exit.message.empty() || b.exit.message.empty())) return false;
  return same_start(a.exit.message, b.exit.message);
}

void take_over(ExitSource& a, ExitSource& b) {
  if (b.dump && (!a.dump || a.dump->tasks().empty())) a.dump = b.dump;
  a.console = a.console || b.console;
  a.last = std::max(a.last, b.last);
  if (!a.told) {
    a.exit = b.exit;
  } else if (b.told) {
    // The dump's own words first; what it lacks from the other.
    ScxExit best = b.dump && !b.exit.comm.empty() ? b.exit : a.exit;
    const ScxExit& rest = b.dump && !b.exit.comm.empty() ? a.exit : b.exit;
    if (best.reason.empty()) best.reason = rest.reason;
    if (best.message.size() < rest.message.size()) best.message = rest.message;
    if (best.ops_name.empty()) best.ops_name = rest.ops_name;
    if (best.backtrace.size() < rest.backtrace.size()) best.backtrace = rest.backtrace;
    if (best.kind == 0) best.kind = rest.kind;
    if (best.comm.empty()) best.comm = rest.comm, best.pid = rest.pid;
    if (best.cpu < 0) best.cpu = rest.cpu;
    a.exit = std::move(best);
  }
  a.told = a.told || b.told;
  if (a.running_ops.empty()) a.running_ops = b.running_ops;
}

}  // namespace

std::vector<std::unique_ptr<ExitSource>> joined_sources(std::vector<std::unique_ptr<ExitSource>> told) {
  std::vector<std::unique_ptr<ExitSource>> joined;
  for (auto& source : told) {
    ExitSource* into = nullptr;
    for (auto at = joined.rbegin(); at != joined.rend() && !into; ++at)
      if (same_exit(**at, *source)) into = at->get();
    if (into)
      take_over(*into, *source);
    else
      joined.push_back(std::move(source));
  }
  return joined;
}

}  // namespace ktstr
