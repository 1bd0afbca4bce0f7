// What the test itself did to the machine and to the scheduler's state: operations of steps, with the time that each took, and
// writes into maps. An operation says when it is done, not when it begins; it begins with its step's phase, or where the one
// before it ended. So an operation that the kernel is still busy with (a CPU on its way out) is known as well.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "reporter/timeline.h"
#include "schemas/envelope.h"

namespace ktstr {

struct TestSpecT;

class ActionRecord {
 public:
  // `spec`: whose steps are done; null: none are known.
  void fold(const EventBuffer& event, const TestSpecT* spec);
  // "step 1: offline 3: begun 10.1 s before and not done; .bss limit written: 1 -> 0, 3.8 s before": the last ones of those
  // that had begun at `moment`. Empty: none had.
  std::string before(const Moment& moment) const;
  // "step 1: offline 3": what had begun by then and was not done. Empty: nothing.
  std::string under_way(const Moment& moment) const;

  static constexpr size_t kMaxKept = 64, kMaxSaid = 3;

 private:
  struct Action {
    std::string what;
    Moment begin;
    std::optional<Moment> end;
  };
  void begin(std::string what, const Moment& at);
  void next_operation(const TestSpecT& spec, const Moment& at);

  std::vector<Action> actions_;      // the last ones, in order of their begin
  size_t step_ = 0, operation_ = 0;  // the next to begin, from 0; step_: the next whose phase begins
  bool operates_ = false;            // the last action is an operation that is not done
};

}  // namespace ktstr
