#include "reporter/action_record.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "schemas/event_generated.h"
#include "schemas/guest_generated.h"
#include "schemas/monitor_generated.h"
#include "schemas/spec_generated.h"
#include "schemas/workload_generated.h"

namespace ktstr {
namespace {

constexpr size_t kMaxText = 200;

}  // namespace

void ActionRecord::begin(std::string what, const Moment& at) {
  if (actions_.size() == kMaxKept) actions_.erase(actions_.begin());
  actions_.push_back({std::move(what), at, std::nullopt});
}

void ActionRecord::next_operation(const TestSpecT& spec, const Moment& at) {
  operates_ = step_ > 0 && step_ <= spec.steps.size() && operation_ < spec.steps[step_ - 1]->ops.size();
  if (operates_)
    begin(fmt::format("step {}: {}", step_, spec.steps[step_ - 1]->ops[operation_]->text.substr(0, kMaxText)),
          at);
}

void ActionRecord::fold(const EventBuffer& event, const TestSpecT* spec) {
  const Moment now = Moment::of(event);
  switch (event.type()) {
    case Payload::PhaseStarted:
      if (!spec || step_ >= spec->steps.size() ||
          str(event.as<PhaseStarted>()->name()) != spec->steps[step_]->name)
        return;
      ++step_;
      operation_ = 0;
      return next_operation(*spec, now);
    case Payload::OpApplied: {
      if (!operates_) return;
      actions_.back().end = now;
      const auto error = str(event.as<OpApplied>()->error());
      if (!error.empty()) actions_.back().what += ": failed";
      ++operation_;
      return next_operation(*spec, now);
    }
    case Payload::MapWritten: {
      const auto* write = event.as<MapWritten>();
      if (!str(write->error()).empty()) return;
      const std::string_view field = str(write->field()), before = str(write->before());
      Action done{fmt::format("{}{}{} written: {}{}", str(write->map()).substr(0, 64),
                              field.empty() ? "" : " ", field.substr(0, kMaxText),
                              before.empty() ? "" : std::string(before.substr(0, 64)) + " -> ",
                              str(write->after()).substr(0, 64)),
                  now, now};
      // The operation that is under way stays the last one.
      if (actions_.size() == kMaxKept) actions_.erase(actions_.begin());
      actions_.insert(actions_.end() - (operates_ && !actions_.empty() ? 1 : 0), std::move(done));
      return;
    }
    default:
      return;
  }
}

std::string ActionRecord::under_way(const Moment& moment) const {
  for (const Action& action : actions_)
    if (between(action.begin, moment) >= 0 && (!action.end || between(*action.end, moment) < 0))
      return action.what;
  return {};
}

std::string ActionRecord::before(const Moment& moment) const {
  std::vector<const Action*> begun;
  for (const Action& action : actions_)
    if (between(action.begin, moment) >= 0) begun.push_back(&action);
  std::string text;
  for (size_t i = begun.size() - std::min(begun.size(), kMaxSaid); i < begun.size(); ++i) {
    const Action& action = *begun[i];
    const auto ago = [&](const Moment& then) {
      return human_ns(static_cast<uint64_t>(std::max<int64_t>(between(then, moment), 0)));
    };
    const bool done = action.end && between(*action.end, moment) >= 0;
    text += (text.empty() ? "" : "; ") + action.what +
            (done ? fmt::format(", {} before", ago(*action.end))
                  : fmt::format(", begun {} before and not done", ago(action.begin)));
  }
  return text;
}

}  // namespace ktstr
