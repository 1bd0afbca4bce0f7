#include "launcher/run/run_facts.h"

#include <gtest/gtest.h>

namespace ktstr {
namespace {

using Words = std::vector<std::string>;

TEST(RunFacts, SwitchesComeBeforeTheCommandAndJoinAnEnvThatIsThere) {
  const Words command = {"ktstr-launch", "run", "a.toml"};
  EXPECT_EQ(with_switches({}, command), command);
  EXPECT_EQ(with_switches({{"RUST_BACKTRACE", "1"}}, command),
            (Words{"env", "RUST_BACKTRACE=1", "ktstr-launch", "run", "a.toml"}));
  EXPECT_EQ(with_switches({{"KTSTR_VERBOSE", "1"}}, {"env", "KTSTR_SCHEDULER_X=/x", "ktstr-launch"}),
            (Words{"env", "KTSTR_VERBOSE=1", "KTSTR_SCHEDULER_X=/x", "ktstr-launch"}));
}

}  // namespace
}  // namespace ktstr
