#include "scx/named_callback.h"

#include <gtest/gtest.h>

namespace ktstr {
namespace {

TEST(NamedCallback, TheMessageNamesIt) {
  EXPECT_EQ(named_callback("ops.init_task() failed (-12) for a[5] while loading")->member, "init_task");
  EXPECT_EQ(named_callback("ops.init_task() failed (-12) for a[5] while loading")->error, 12);
  EXPECT_EQ(named_callback("invalid CPU 9 from ops.select_cpu()")->member, "select_cpu");
  EXPECT_EQ(named_callback("invalid CPU 9 from ops.select_cpu()")->error, 0);
}

TEST(NamedCallback, OtherMessagesNameNone) {
  for (const char* text :
       {"", "ops.", "ops.init", "ops.init()x.", "my_ops.init() failed (-1)", "a[5] failed to run for 5.1s"})
    EXPECT_EQ(named_callback(text).value_or(NamedCallback{}).error, 0) << text;
  EXPECT_FALSE(named_callback("my_ops.init() failed (-1)"));
  EXPECT_EQ(named_callback("ops.init() failed (-99999)")->error, 0);
}

TEST(NamedTask, IsTheOneBehindItsName) {
  EXPECT_EQ(named_task("SCX_DSQ_LOCAL[_ON] target CPU 0 not allowed for cg_0/1[122]"), 122);
  EXPECT_EQ(named_task("a[1] waits for b[2]"), 0);
  EXPECT_EQ(named_task("no task [7] here"), 0);
  EXPECT_EQ(named_task("x["), 0);
}

}  // namespace
}  // namespace ktstr
