// A lying guest, a damaged host: events whose bytes were changed at random, but which the verifier still
// passes. The reporter must make a report of them that holds nothing a terminal acts upon.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "reporter/format.h"
#include "reporter/html/page_data.h"
#include "reporter/html/run_picture.h"
#include "reporter/testing/synthetic_run.h"
#include "schemas/guest_generated.h"
#include "schemas/repro_generated.h"
#include "schemas/workload_generated.h"

namespace ktstr::testing {
namespace {

TEST(HostileEvents, AnyVerifiedEventIsSurvived) {
  std::mt19937 random(20261121);
  SyntheticRun source = SyntheticRun::demo_crash();
  source.environment("RUST_BACKTRACE", "1");
  ReproFinishedT repro;
  repro.calls.push_back(std::make_unique<DecodedCallT>());
  repro.calls.back()->function = "enqueue_task";
  repro.calls.back()->values.push_back(std::make_unique<DecodedValueT>());
  source.add(std::move(repro), Vm::Host);
  BpfProgramT program;
  program.name = "demo_enqueue";
  program.tag = "00";
  program.member = "enqueue";
  program.lines.push_back(std::make_unique<LineInfoT>());
  source.add(std::move(program));
  PayloadStartedT started;
  started.name = "p";
  started.argv = {"/ktstr/payload/p/prog", "-x"};
  source.add(std::move(started));
  PayloadLineT line;
  line.name = "p";
  line.text = "words";
  source.add(std::move(line));
  PayloadExitedT exited;
  exited.name = "p";
  exited.exit_code = 3;
  source.add(std::move(exited));
  OpAppliedT op;
  op.step = 1;
  op.op = "stop g";
  op.error = "no";
  source.add(std::move(op));
  CheckReportedT check;
  check.name = "fair";
  check.outcome = Outcome::Fail;
  check.observed = "3";
  source.add(std::move(check));
  const auto& events = source.events();
  size_t changed = 0;
  for (int round = 0; round < 60; ++round) {
    RunModel model;
    RunPicture picture(64);
    for (const EventBuffer& event : events) {
      std::vector<uint8_t> bytes(event.bytes().begin(), event.bytes().end());
      if (random() % 3 == 0) {
        for (unsigned n = 1 + random() % 4; n > 0; --n)
          bytes[random() % bytes.size()] = static_cast<uint8_t>(random());
      }
      auto event_now = EventBuffer::from_bytes(bytes);
      if (!event_now) continue;  // what the verifier refuses never comes here
      ++changed;
      picture.fold(*event_now);
      model.fold(*event_now);
    }
    model.finish();
    Report report = make_report(model);
    EXPECT_TRUE(std::none_of(report.text.begin(), report.text.end(), [](char c) {
      return (static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t') || c == 0x7f;
    }));
    JudgedTest test{.tries = {facts_of({&model, &report})}, .planned = {}};
    for (Format format : {Format::kJson, Format::kJunit, Format::kMarkdown, Format::kGithub, Format::kKtap})
      EXPECT_FALSE(render(format, {&test, 1}).empty());
    EXPECT_EQ(std::string::npos, page_data({&model, &report}, picture).find('<'));
  }
  EXPECT_GT(changed, events.size() * 30);
}

}  // namespace
}  // namespace ktstr::testing
