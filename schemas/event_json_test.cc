#include "schemas/event_json.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "schemas/client_generated.h"
#include "schemas/guest_generated.h"
#include "schemas/monitor_generated.h"
#include "schemas/run_generated.h"

namespace ktstr {
namespace {

TEST(EventJson, NamesFieldsEnumsAndNestedTables) {
  VmExitedT exited;
  exited.end = VmEnd::TimedOut;
  exited.deadline = "boot";
  exited.stderr_tail = {"a", "b"};
  auto json = event_json(
      make_event({.run_id = "r", .source = "launcher", .vm = Vm::Repro, .attempt = 2}, std::move(exited)));
  EXPECT_EQ(json["type"], "VmExited");
  EXPECT_EQ(json["vm"], "Repro");
  EXPECT_EQ(json["attempt"], 2);
  EXPECT_EQ(json["payload"]["end"], "TimedOut");
  EXPECT_EQ(json["payload"]["stderr_tail"], (std::vector<std::string>{"a", "b"}));
}

TEST(EventJson, NestedTablesInVectors) {
  MonitorSampleT sample;
  for (uint16_t cpu : {0, 1}) {
    auto c = std::make_unique<CpuSampleT>();
    c->cpu = cpu;
    c->nr_running = 3;
    sample.cpus.push_back(std::move(c));
  }
  auto json = event_json(make_event({.run_id = "r", .source = "monitor"}, std::move(sample)));
  ASSERT_EQ(json["payload"]["cpus"].size(), 2u);
  EXPECT_EQ(json["payload"]["cpus"][1]["cpu"], 1);
  EXPECT_EQ(json["payload"]["cpus"][1]["nr_running"], 3);
}

TEST(EventJson, LongBytesAreGivenByLengthAndBadUtf8IsReplaced) {
  BpfBtfT btf;
  btf.data.resize(1000);
  EXPECT_EQ(event_json(make_event({.run_id = "r", .source = "g"}, std::move(btf)))["payload"]["data"],
            "<1000 bytes>");
  CollectorLineT line;
  line.text = "bad \xff byte";
  std::string text = event_json_line(make_event({.run_id = "r", .source = "g"}, std::move(line)));
  EXPECT_TRUE(nlohmann::json::accept(text)) << text;
  EXPECT_EQ(text.find('\n'), std::string::npos);
}

TEST(EventJson, WhatSteersATerminalIsEscapedAndKeepsItsValue) {
  const std::string text = "a\x7f \u009b31m \u202e \u2028 \U000e0041 größer";
  CollectorLineT line;
  line.text = text;
  const std::string json = event_json_line(make_event({.run_id = "r", .source = "g"}, std::move(line)));
  for (char bad : {'\x7f', '\xe2', '\xf3'}) EXPECT_EQ(json.find(bad), std::string::npos) << json;
  EXPECT_NE(json.find("größer"), std::string::npos) << json;
  EXPECT_EQ(nlohmann::json::parse(json)["payload"]["text"], text);
}

TEST(EventJson, ALargeVectorOfBytesCostsNoMoreThanItsFirstBytes) {
  BpfBtfT btf;
  btf.data.resize(15u << 20);
  EXPECT_EQ(event_json(make_event({.run_id = "r", .source = "g"}, std::move(btf)))["payload"]["data"],
            "<15728640 bytes>");
}

}  // namespace
}  // namespace ktstr
