#include "guest/init/dump_tracer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/small_files.h"
#include "guest/init/trace_line.h"
#include "schemas/guest_generated.h"

namespace ktstr::guest {
namespace {

constexpr char kInstance[] = "/sys/kernel/tracing/instances/ktstr";
constexpr char kBufferKbPerCpu[] = "768";

}  // namespace

Status DumpTracer::start() {
  const std::string instance = kInstance;
  if (::mkdir(kInstance, 0700) != 0 && errno != EEXIST)
    return Error::from_errno("trace instance " + instance);
  (void)write_text(instance + "/trace_clock", "mono");
  (void)write_text(instance + "/buffer_size_kb", kBufferKbPerCpu);
  (void)write_text(instance + "/options/overwrite", "0");
  if (auto on = write_text(instance + "/events/sched_ext/sched_ext_dump/enable", "1"); !on)
    return std::move(on).error().within("tracepoint sched_ext:sched_ext_dump");
  pipe_ = UniqueFd(::open((instance + "/trace_pipe").c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (!pipe_) return Error::from_errno("open " + instance + "/trace_pipe");
  return {};
}

void DumpTracer::poll() {
  if (!pipe_) return;
  char buffer[32 * 1024];
  ssize_t n;
  while ((n = ::read(pipe_.get(), buffer, sizeof(buffer))) > 0) {
    splitter_.feed(std::string_view(buffer, static_cast<size_t>(n)),
                   [this](std::string_view line, bool truncated) { on_line(line, truncated); });
  }
}

void DumpTracer::on_line(std::string_view line, bool truncated) {
  last_line_ns_ = now_ns();
  auto parsed = parse_trace_line(line);
  DumpLineT fact;
  fact.truncated = truncated;
  if (parsed) {
    fact.text = parsed->text;
    fact.comm = comm_ = parsed->comm;
    fact.pid = pid_ = parsed->pid;
    fact.cpu = cpu_ = parsed->cpu;
    stamp_ns_ = parsed->ns;
  } else if (line.starts_with("CPU:") && line.find(" EVENTS]") != std::string_view::npos) {
    fact.text = line;  // the trace buffer overflowed: said in the place where lines are missing
    fact.cpu = -1;
  } else {
    // A message of the scheduler that holds line breaks: the rest belongs to the record before.
    if (lines_ == 0) return;
    fact.text = line;
    fact.comm = comm_;
    fact.pid = pid_;
    fact.cpu = cpu_;
  }
  ++lines_;
  channel_.send(std::move(fact), stamp_ns_);
}

}  // namespace ktstr::guest
