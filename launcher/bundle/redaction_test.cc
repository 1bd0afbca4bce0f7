#include "launcher/bundle/redaction.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "schemas/event_json.h"
#include "schemas/guest_generated.h"
#include "schemas/run_generated.h"
#include "schemas/spec_generated.h"

namespace ktstr {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const HostNames kAda = {.users = {"lovelace"}, .hosts = {"engine9"}, .homes = {"/data/people/lovelace"}};

EventBuffer event_of(auto payload) {
  return make_event({.run_id = "20261126-000000-0001/t", .source = "launcher", .host_ns = 5},
                    std::move(payload));
}

RunStartedT started() {
  RunStartedT run;
  run.tool_version = "0.1.0";
  run.run_id = "20261126-000000-0001/t";
  run.spec = std::make_unique<TestSpecT>();
  run.spec->name = "t";
  run.spec->file = "/data/people/lovelace/my project/specs/t.toml";
  run.spec->topology = std::make_unique<TopologyT>();
  run.command = {"/opt/ktstr/bin/ktstr-launch", "run", "/data/people/lovelace/my project/specs/t.toml"};
  run.rerun = "ktstr-launch run '/srv/ci/checkout/t.toml'";
  return run;
}

std::string redacted_json(const Redaction& redaction, const EventBuffer& event) {
  auto out = redaction.redact(event);
  EXPECT_TRUE(out) << out.error().to_string();
  EXPECT_EQ(event.bytes().size(), out->bytes().size()) << "the layout stays";
  return event_json_line(*out);
}

TEST(Redaction, NamesAndFoldersAreGoneAndTheEventVerifies) {
  Redaction redaction(kAda);
  const EventBuffer run = event_of(started());
  redaction.learn(run);
  SchedulerLineT line;
  line.text = "lovelace@engine9: cannot open /srv/ci/checkout/rules: see /data/people/lovelace/.cache";
  for (const std::string& text :
       {redacted_json(redaction, run), redacted_json(redaction, event_of(std::move(line)))})
    for (const char* word : {"lovelace", "engine9", "people", "checkout", "my project"})
      EXPECT_THAT(text, Not(HasSubstr(word)));
  EXPECT_THAT(redacted_json(redaction, run), HasSubstr("/t.toml"));
}

TEST(Redaction, OneThingHasOneStandInOfItsLength) {
  Redaction redaction(kAda);
  redaction.learn(event_of(started()));
  const std::string a = redaction.redacted("/data/people/lovelace/x"),
                    b = redaction.redacted("user lovelace");
  EXPECT_EQ(std::string("/data/people/lovelace/x").size(), a.size());
  EXPECT_EQ(a.substr(a.size() - 10, 8), b.substr(5));
  EXPECT_EQ(a, redaction.redacted("/data/people/lovelace/x"));
}

TEST(Redaction, WhatNamesNobodyStays) {
  Redaction redaction({.users = {"root", "ci"}, .hosts = {"localhost"}, .homes = {"/root"}});
  redaction.learn(event_of(started()));
  EXPECT_EQ("root task scx_circle /usr/lib/x 1/2 a/srv/b",
            redaction.redacted("root task scx_circle /usr/lib/x 1/2 a/srv/b"));
  EXPECT_THAT(redaction.redacted("by ci, of decision"), Not(HasSubstr("ci,")));
  EXPECT_THAT(redaction.redacted("by ci, of decision"), HasSubstr("decision"));
  EXPECT_THAT(redaction.redacted("/root/.cache/ktstr"), Not(HasSubstr("/root")));
}

TEST(Redaction, BytesAreRedactedToo) {
  Redaction redaction(kAda);
  BpfBtfT btf;
  const std::string text = std::string("\0int\0/data/people/lovelace/x.bpf.c\0", 35);
  btf.data.assign(text.begin(), text.end());
  auto out = redaction.redact(event_of(std::move(btf)));
  ASSERT_TRUE(out);
  const auto* data = out->as<BpfBtf>()->data();
  const std::string after(data->begin(), data->end());
  EXPECT_EQ(text.size(), after.size());
  EXPECT_THAT(after, Not(HasSubstr("lovelace")));
  EXPECT_THAT(after, HasSubstr("/x.bpf.c"));
}

TEST(Redaction, HomesOfOtherUsersInTheLogAreFound) {
  Redaction redaction({});
  RunStartedT run = started();
  run.rerun = "run /home/byron/scx/t.toml";
  redaction.learn(event_of(std::move(run)));
  EXPECT_THAT(redaction.redacted("byron's /home/byron"), Not(HasSubstr("byron")));
}

}  // namespace
}  // namespace ktstr
