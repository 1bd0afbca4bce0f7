#include "workload/worker_report.h"

#include <gtest/gtest.h>

#include <random>

#include "base/text.h"

namespace ktstr {
namespace {

WorkerReportT some_report() {
  WorkerReportT r;
  r.cgroup = "a";
  r.index = 3;
  r.pid = 7;
  r.work = WorkType::FutexFanOut;
  r.iterations = 9;
  r.cpus = {0, 5};
  r.outside_cpus = {5};
  r.cpuset = "0-3";
  r.wall_ns = 100;
  r.run_ns = 60;
  r.gap_cpu = -1;
  r.wake_p99_ns = 11;
  r.exit_code = 134;
  r.killed = true;
  r.messenger = true;
  r.function = true;
  r.errors.push_back(std::make_unique<WorkerErrorT>());
  r.errors[0]->what = "fork";
  r.errors[0]->error = 12;
  r.errors[0]->count = 5;
  return r;
}

TEST(ReportLine, EveryFieldComesBack) {
  const WorkerReportT sent = some_report();
  auto r = parse_report_line(report_line(sent));
  ASSERT_TRUE(r);
  EXPECT_EQ(r->cgroup, sent.cgroup);
  EXPECT_EQ(r->index, sent.index);
  EXPECT_EQ(r->pid, sent.pid);
  EXPECT_EQ(r->work, sent.work);
  EXPECT_EQ(r->iterations, sent.iterations);
  EXPECT_EQ(r->cpus, sent.cpus);
  EXPECT_EQ(r->outside_cpus, sent.outside_cpus);
  EXPECT_EQ(r->cpuset, sent.cpuset);
  EXPECT_EQ(r->run_ns, sent.run_ns);
  EXPECT_EQ(r->gap_cpu, -1);
  EXPECT_EQ(r->wake_p99_ns, sent.wake_p99_ns);
  EXPECT_EQ(r->exit_code, sent.exit_code);
  EXPECT_TRUE(r->killed);
  EXPECT_EQ(r->messenger, sent.messenger);
  EXPECT_TRUE(r->function);
  ASSERT_EQ(r->errors.size(), 1u);
  EXPECT_EQ(r->errors[0]->what, "fork");
  EXPECT_EQ(r->errors[0]->error, 12);
  EXPECT_EQ(r->errors[0]->count, 5u);
  // Not said is told from "no": a log of before has no messenger field.
  EXPECT_FALSE(parse_report_line(report_line({}))->messenger.has_value());
}

TEST(ReportLine, TheLargestReportFits) {
  WorkerReportT r = some_report();
  r.cgroup = std::string(5000, 'x');
  r.cpuset = std::string(5000, '1');
  r.cpus.clear();
  for (unsigned cpu = 0; cpu < 2000; ++cpu) r.cpus.push_back(static_cast<uint16_t>(cpu));
  r.outside_cpus = r.cpus;
  const std::string line = report_line(r);
  EXPECT_LE(line.size(), kMaxReportLine);
  auto read = parse_report_line(line);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->cgroup.size(), 100u);
  EXPECT_EQ(read->cpus.size(), 1024u);
  EXPECT_EQ(read->outside_cpus.back(), 1023u);
}

// The body is not trusted: what it sends is bounded whatever its own library would have cut.
TEST(ReportLine, WhatNoReaderCouldBearIsCutOrRefused) {
  WorkerReportT r = some_report();
  r.cgroup = std::string(3000, 'x');
  r.cpus = {65535, 2};
  r.work = static_cast<WorkType>(200);
  r.step = 4;
  flatbuffers::FlatBufferBuilder builder;
  builder.Finish(WorkerReport::Pack(builder, &r));
  auto read = parse_report_line("worker " + hex_bytes({builder.GetBufferPointer(), builder.GetSize()}));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->cgroup.size(), 100u);
  EXPECT_EQ(read->cpus, std::vector<uint16_t>{2});
  EXPECT_EQ(read->work, WorkType::Custom);
  EXPECT_EQ(read->step, 0u);
  const std::string good = report_line(some_report());
  for (const std::string& no :
       {std::string(), std::string("worker "), std::string("worker 0"), std::string("worker zz"),
        good.substr(0, 7 + good.size() / 4 * 2), good + "\"", good.substr(1),
        "worker " + std::string(2 * kMaxReportLine, '0')})
    EXPECT_FALSE(parse_report_line(no)) << no.substr(0, 40);
}

TEST(ReportLine, DamageIsBorne) {
  const std::string good = report_line(some_report());
  std::mt19937 random(7);
  for (int i = 0; i < 20'000; ++i) {
    std::string line = good;
    for (int n = 0; n < 4; ++n) line[7 + random() % (line.size() - 7)] = "0123456789abcdef"[random() % 16];
    if (auto read = parse_report_line(line)) {
      EXPECT_LE(read->cgroup.size(), 100u);
      for (uint16_t cpu : read->cpus) EXPECT_LT(cpu, 1024u);
    }
  }
}

}  // namespace
}  // namespace ktstr
