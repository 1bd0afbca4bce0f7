#include "reporter/scenario_record.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "reporter/names.h"
#include "schemas/event_generated.h"
#include "schemas/spec_generated.h"
#include "schemas/workload_generated.h"

namespace ktstr {

bool payload_is_to_blame(const PayloadExitedT& exit, const TestSpecT* spec) {
  if (exit.timed_out) return true;
  if (exit.stopped) return false;
  int good = 0;
  if (spec)
    for (const auto& payload : spec->payloads)
      if (payload->name == exit.name) good = payload->exit_code;
  return exit.signal != 0 || exit.exit_code != good;
}

std::string payload_end_text(const PayloadExitedT& exit) {
  if (exit.timed_out) return "did not end within " + human_ns(exit.duration_ns) + " and was killed";
  if (exit.stopped) return "ended when asked to";
  std::string text =
      exit.signal ? "killed by " + signal_name(exit.signal) : fmt::format("exit code {}", exit.exit_code);
  return exit.core_frames.empty() ? text : text + ", in " + exit.core_frames.front();
}

PayloadRecord* ScenarioRecord::of(std::string_view name) {
  name = name.substr(0, 128);
  auto it = std::find_if(payloads_.begin(), payloads_.end(),
                         [&](const PayloadRecord& p) { return p.name == name; });
  if (it != payloads_.end()) return &*it;
  if (payloads_.size() >= kMaxPayloads) return nullptr;
  payloads_.emplace_back().name = name;
  return &payloads_.back();
}

const PayloadRecord* ScenarioRecord::find(const std::string& payload) const {
  auto it = std::find_if(payloads_.begin(), payloads_.end(),
                         [&](const PayloadRecord& p) { return p.name == payload; });
  return it == payloads_.end() ? nullptr : &*it;
}

void ScenarioRecord::fold(const EventBuffer& event, const TestSpecT* spec) {
  switch (event.type()) {
    case Payload::OpApplied: {
      auto* op = event.as<OpApplied>();
      ++ops_;
      if (str(op->error()).empty() || failed_ops_.size() >= kMaxOps) return;
      failed_ops_.push_back({op->step(), op->index(), std::string(str(op->op()).substr(0, 512)),
                             std::string(str(op->error()).substr(0, 512))});
      return;
    }
    case Payload::PayloadStarted: {
      auto* started = event.as<PayloadStarted>();
      PayloadRecord* payload = of(str(started->name()));
      if (!payload) return;
      ++payload->started;
      payload->command.clear();
      if (auto* argv = started->argv())
        for (const auto* word : *argv)
          if (payload->command.size() < 200)
            payload->command += (payload->command.empty() ? "" : " ") + word->str();
      // The guest's path of the program says nothing.
      size_t slash = payload->command.substr(0, payload->command.find(' ')).rfind('/');
      payload->command = payload->command.substr(slash == std::string::npos ? 0 : slash + 1, 120);
      return;
    }
    case Payload::PayloadLine:
      if (PayloadRecord* payload = of(str(event.as<PayloadLine>()->name()))) {
        ++payload->lines;
        payload->tail.push(str(event.as<PayloadLine>()->text()));
      }
      return;
    case Payload::PayloadExited: {
      PayloadRecord* payload = of(str(event.as<PayloadExited>()->name()));
      if (!payload) return;
      ++payload->ended;
      PayloadExitedT exit;
      event.as<PayloadExited>()->UnPackTo(&exit);
      if (!payload->first_bad && payload_is_to_blame(exit, spec)) payload->first_bad = exit;
      payload->last = std::move(exit);
      return;
    }
    case Payload::CheckReported: {
      ++checks_seen_;
      auto* check = event.as<CheckReported>();
      has_result_ = has_result_ || str(check->name()).empty();
      const bool passed = check->outcome() == Outcome::Pass;
      if (checks_.size() >= kMaxChecks || (passed && passed_kept_ >= kMaxPassed)) return;
      passed_kept_ += passed;
      CheckReportedT fact;
      check->UnPackTo(&fact);
      for (std::string* text : {&fact.name, &fact.observed, &fact.threshold, &fact.detail, &fact.file})
        if (text->size() > 1024) text->resize(1024);
      checks_.push_back(std::move(fact));
      return;
    }
    default:
      return;
  }
}

}  // namespace ktstr
