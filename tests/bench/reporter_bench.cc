// The reporter over long logs: its speed against a plain sequential read, and its memory against the log's length.
//
//   raw     read(2) and CRC of every record, no event is looked at: what the disk cache and the CRC instruction give
//   plain   every event as any reader gets it: read, CRC, verified (LogReader), then dropped. The reference
//
// Usage: ktstr_reporter_bench REPORTER [EVENTS_FOR_MEMORY]   (default 10 million; they take 3 GB)
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "base/crc32c.h"
#include "base/unique_fd.h"
#include "schemas/guest_generated.h"
#include "schemas/log_format.h"
#include "schemas/log_reader.h"
#include "schemas/log_writer.h"
#include "schemas/monitor_generated.h"
#include "schemas/run_generated.h"
#include "schemas/spec_generated.h"
#include "tests/bench/bench_kit.h"

namespace ktstr::bench {
namespace {

constexpr int kRounds = 3;

RunStartedT run_started() {
  RunStartedT t;
  t.tool_version = "bench";
  t.run_id = "run";
  t.spec = std::make_unique<TestSpecT>();
  t.spec->name = "bench";
  t.spec->topology = std::make_unique<TopologyT>();
  t.spec->topology->cores = 4;
  return t;
}

MonitorSampleT sample() {
  MonitorSampleT t;
  for (uint16_t cpu = 0; cpu < 4; ++cpu) {
    auto c = std::make_unique<CpuSampleT>();
    c->cpu = cpu;
    c->nr_running = 1 + cpu % 2;
    c->rq_clock = 1000;
    t.cpus.push_back(std::move(c));
  }
  return t;
}

// A run as long as wanted: of each ten events four samples, three lines of the scheduler, two of the console, one of a collector.
void write_log(const std::string& path, uint64_t events) {
  auto writer = LogWriter::create(path).value();
  std::vector<EventBuffer> batch;
  auto put = [&](EventBuffer event) {
    batch.push_back(std::move(event));
    if (batch.size() < 1024) return;
    if (!writer.append(batch)) std::exit(3);
    batch.clear();
  };
  auto head = [](Vm vm, const char* source, uint64_t i) {
    return EventHead{
        .run_id = "run", .source = source, .vm = vm, .host_ns = i * 100'000 + 1, .guest_ns = i * 100'000 + 1};
  };
  put(make_event(head(Vm::Host, "launcher", 0), run_started()));
  put(make_event(head(Vm::Primary, "launcher", 0), VmStartedT()));
  std::vector<EventBuffer> kinds;
  for (uint64_t i = 0; i < 4; ++i) kinds.push_back(make_event(head(Vm::Primary, "monitor", i), sample()));
  for (uint64_t i = 0; i < 3; ++i) {
    SchedulerLineT t;
    t.text = "[sched] enqueued=" + std::to_string(i * 7919) + " dispatched=" + std::to_string(i * 104729);
    kinds.push_back(make_event(head(Vm::Primary, "guest", i), std::move(t)));
  }
  for (uint64_t i = 0; i < 2; ++i) {
    ConsoleLineT t;
    t.text = "[    3.129643]  asm_sysvec_apic_timer_interrupt+0x1a/0x20 line " + std::to_string(i);
    kinds.push_back(make_event(head(Vm::Primary, "collector", i), std::move(t)));
  }
  kinds.push_back(event_of_256_bytes("run", 1));
  for (uint64_t i = 2; i < events; ++i) {
    EventBuffer event = kinds[i % kinds.size()].clone();
    event.stamp_host_ns(i * 100'000);
    put(std::move(event));
  }
  if (!writer.append(batch)) std::exit(3);
}

// Seconds to read every event, and to forget it.
double plain_read(const std::string& path) {
  Stopwatch watch;
  auto reader = LogReader::open(path).value();
  while (true) {
    auto event = reader.next();
    if (!event || !*event) break;
  }
  if (reader.events() == 0 || !reader.damage().empty()) std::exit(3);
  return watch.seconds();
}

// Seconds to read the file from start to end, checking every record.
double raw_read(const std::string& path) {
  Stopwatch watch;
  UniqueFd fd(::open(path.c_str(), O_RDONLY));
  std::vector<uint8_t> buffer(1u << 20);
  size_t begin = 0, end = 0;
  uint64_t records = 0;
  bool header = true;
  while (true) {
    size_t need = header ? sizeof(LogHeader) : sizeof(RecordHeader);
    RecordHeader record{};
    if (!header && end - begin >= need) {
      std::memcpy(&record, buffer.data() + begin, sizeof record);
      need += record.length;
    }
    if (end - begin < need || (!header && record.length == 0)) {
      std::memmove(buffer.data(), buffer.data() + begin, end - begin);
      end -= begin;
      begin = 0;
      ssize_t n = ::read(fd.get(), buffer.data() + end, buffer.size() - end);
      if (n <= 0) break;
      end += static_cast<size_t>(n);
      continue;
    }
    if (!header && crc32c({buffer.data() + begin + sizeof record, record.length}) != record.crc32c)
      std::exit(3);
    begin += need;
    records += !header;
    header = false;
  }
  if (records == 0) std::exit(3);
  return watch.seconds();
}

struct Use {
  double seconds = 0;
  double peak_mb = 0;
};

Use run_reporter(const char* reporter, const std::string& log) {
  Stopwatch watch;
  pid_t pid = fork();
  if (pid == 0) {
    int null = ::open("/dev/null", O_WRONLY);
    ::dup2(null, 1);
    ::dup2(null, 2);
    ::execl(reporter, reporter, log.c_str(), nullptr);
    _exit(127);
  }
  int status = 0;
  rusage usage{};
  ::wait4(pid, &status, 0, &usage);
  if (!WIFEXITED(status) || WEXITSTATUS(status) == 127) std::exit(3);
  return {watch.seconds(), static_cast<double>(usage.ru_maxrss) / 1024};
}

int run(const char* reporter, uint64_t many) {
  Bars bars;
  Folder folder;
  std::string small = folder.file("small.ktlog"), middle = folder.file("middle.ktlog"),
              large = folder.file("large.ktlog");
  write_log(small, 10'000);
  write_log(middle, 1'000'000);
  double raw = 1e9, plain = 1e9;
  Use use{1e9, 0};
  for (int i = 0; i < kRounds; ++i) {
    raw = std::min(raw, raw_read(middle));
    plain = std::min(plain, plain_read(middle));
    Use u = run_reporter(reporter, middle);
    if (u.seconds < use.seconds) use = u;
  }
  std::printf("1000000 events: raw read with CRC %.3f s, plain read %.3f s, report %.3f s (x%.2f of raw)\n",
              raw, plain, use.seconds, raw / use.seconds);
  bars.at_least("reporter's speed, of a plain read's", plain / use.seconds, 1.0 / 3);
  Use least = run_reporter(reporter, small);
  write_log(large, many);
  Use most = run_reporter(reporter, large);
  std::printf("peak memory: 10000 events %.1f MB, 1000000 %.1f MB, %llu %.1f MB (%.2f s)\n", least.peak_mb,
              use.peak_mb, static_cast<unsigned long long>(many), most.peak_mb, most.seconds);
  bars.at_most("report's memory, of that over 10000 events", most.peak_mb / least.peak_mb, 1.5);
  return bars.exit_code();
}

}  // namespace
}  // namespace ktstr::bench

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: ktstr_reporter_bench REPORTER [EVENTS]\n");
    return 2;
  }
  return ktstr::bench::run(argv[1], argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 10'000'000);
}
