// The build against a scripted make: its kernels are made on the spot.
#include "launcher/kernel/kernel_build.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/small_files.h"
#include "bpf/testing/fake_kernel.h"
#include "launcher/kernel/kernel_fragment.h"
#include "launcher/kernel/kernel_resolve.h"

namespace ktstr {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

class KernelBuildTest : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* file : {"Kconfig", "Makefile"}) write_test_file(tree_ + "/" + file, std::string("\n"));
    host_.run = [this](const FetchCommand& command, const std::string& log) { return run(command, log); };
    host_.has = [this](const std::string& program) { return program != missing_; };
  }

  Result<CommandOutput> run(const FetchCommand& command, const std::string& log) {
    const auto& argv = command.argv;
    CommandOutput output;
    if (argv[0] == "git") {
      if (commit_.empty()) return CommandOutput{128, ""};
      output.out = argv[4] == "--show-toplevel" ? tree_ : argv[3] == "status" ? status_ : commit_;
      return output;
    }
    const std::string folder = argv[3].substr(2), suffix = argv[4].substr(13), goal = argv.back();
    goals_.push_back(goal);
    std::ofstream(log, std::ios::app) << "  CC " << goal << "\n";
    const std::string config = folder + "/.config";
    if (goal == "tinyconfig" || goal == "x86_64_defconfig")
      write_test_file(config, std::string("CONFIG_MODULES=y\n# CONFIG_SMP is not set\n"));
    if (goal == "olddefconfig") {
      std::istringstream lines(*read_text(config));
      std::string kept;
      for (std::string line; std::getline(lines, line);)
        if (drops_.empty() || line.find(drops_) == std::string::npos) kept += line + "\n";
      write_test_file(config, kept);
    }
    if (goal == "bzImage") {
      if (broken_) {
        std::ofstream(log, std::ios::app)
            << said_ << "make[1]: *** [tree/Makefile:260: __sub-make] Error 2\n";
        return CommandOutput{2, ""};
      }
      FakeKernel kernel;
      kernel.release = "7.4.0" + suffix;
      write_test_file(folder + "/arch/x86/boot/bzImage", fake_vmlinuz(kernel));
      write_test_file(folder + "/include/config/kernel.release", kernel.release + "\n");
    }
    return output;
  }

  Result<BuiltKernel> build(const std::string& fragment = "") {
    BuildRequest request;
    request.tree = tree_;
    if (!fragment.empty()) {
      write_test_file(dir_ / "extra", fragment);
      request.fragment = dir_ / "extra";
    }
    return build_kernel(cache_, request, host_);
  }

  TestDir dir_;
  std::string tree_ = dir_ / "tree";
  KernelCache cache_{dir_ / "kernels"};
  BuildHost host_;
  std::string commit_ = "0123456789abcdef0123456789abcdef01234567", status_, drops_, missing_;
  bool broken_ = false;
  std::string said_ = "kernel/sched/ext.c:7:3: error: unknown type name 'foo'\n";  // by a broken build
  std::vector<std::string> goals_;
};

TEST_F(KernelBuildTest, ACommitIsBuiltOnceForEachConfiguration) {
  auto first = build();
  ASSERT_TRUE(first.ok()) << first.error().to_string();
  EXPECT_THAT(goals_, ElementsAre("x86_64_defconfig", "olddefconfig", "bzImage"));
  EXPECT_THAT(first->release, HasSubstr("7.4.0-ktstr-0123456789ab-"));
  EXPECT_TRUE(path_exists(first->image));
  EXPECT_THAT(*read_text(first->config), HasSubstr("\nCONFIG_SMP=y\n"));
  EXPECT_EQ(read_text(first->config)->find("# CONFIG_SMP"), std::string::npos);

  goals_.clear();
  auto again = build();
  ASSERT_TRUE(again.ok());
  EXPECT_TRUE(again->from_cache);
  EXPECT_EQ(again->image, first->image);
  EXPECT_THAT(goals_, IsEmpty());

  auto other = build("CONFIG_PREEMPT=y\n");
  ASSERT_TRUE(other.ok());
  EXPECT_FALSE(other->from_cache);
  EXPECT_NE(other->release, first->release);
  commit_ = "f" + commit_.substr(1);
  auto next = build();
  ASSERT_TRUE(next.ok());
  EXPECT_FALSE(next->from_cache);
  EXPECT_THAT(*cache_.list(), IsEmpty()) << "no default takes a built kernel";
  EXPECT_THAT(*built_kernels(cache_).list(), SizeIs(3));
}

TEST_F(KernelBuildTest, ATreeWithChangesIsNeverKept) {
  status_ = " M kernel/sched/ext.c\n?? notes";
  auto built = build();
  ASSERT_TRUE(built.ok()) << built.error().to_string();
  EXPECT_EQ(built->not_kept, "2 files of the tree differ from its commit");
  EXPECT_TRUE(path_exists(built->image));
  EXPECT_THAT(*built_kernels(cache_).list(), IsEmpty());
  goals_.clear();
  ASSERT_TRUE(build().ok());
  EXPECT_THAT(goals_, SizeIs(3)) << "it is built again";
  commit_.clear();
  EXPECT_THAT(build()->not_kept, HasSubstr("not under git"));
}

TEST_F(KernelBuildTest, EachOptionThatWasDroppedIsNamedBeforeAnythingIsCompiled) {
  drops_ = "SCHED_CLASS_EXT";
  auto refused = build("CONFIG_KASAN=y\nCONFIG_HZ=100\n");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().kind(), ErrorKind::kUnsupported);
  EXPECT_THAT(refused.error().message(), HasSubstr("dropped 1 option\n"));
  EXPECT_THAT(refused.error().message(),
              HasSubstr("CONFIG_SCHED_CLASS_EXT=y (it is: absent): ktstr needs it"));
  EXPECT_THAT(goals_, ElementsAre("x86_64_defconfig", "olddefconfig"));

  drops_ = "CONFIG_KASAN";
  refused = build("CONFIG_KASAN=y\n");
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().message(), HasSubstr("extra asks for it"));

  drops_ = "CONFIG_MEMCG=y";
  auto without = build();
  ASSERT_TRUE(without.ok()) << "ktstr can do without it";
  EXPECT_THAT(without->without, ElementsAre("CONFIG_MEMCG=y (it is: absent)"));
}

// Debian's source of 7.3 was refused: PROC_SYSCTL of 6.18 is gone there, and SYSCTL is on without it.
TEST_F(KernelBuildTest, AnOptionThatANewerTreeHasNoMoreIsNotMissed) {
  drops_ = "CONFIG_PROC_SYSCTL";
  const auto built = build();
  EXPECT_TRUE(built) << built.error().message();
  drops_ = "CONFIG_SYSCTL";
  commit_ = "fedcba9876543210fedcba9876543210fedcba98";
  EXPECT_THAT(build().error().message(), HasSubstr("CONFIG_SYSCTL=y (it is: absent): ktstr needs it"));
}

TEST_F(KernelBuildTest, WhatCannotBeIsSaidAtOnce) {
  EXPECT_THAT(build("CONFIG_SCHED_CLASS_EXT=n\n").error().message(),
              HasSubstr("ktstr needs CONFIG_SCHED_CLASS_EXT=y"));
  EXPECT_THAT(build("CONFIG_OK=y\nmake it fast\n").error().message(), HasSubstr("extra:2: \"make it fast\""));
  missing_ = "pahole";
  EXPECT_THAT(build().error().hint(), HasSubstr("apt-get install pahole"));
  missing_.clear();
  broken_ = true;
  const auto failed = build();
  EXPECT_EQ(failed.error().kind(), ErrorKind::kSystem);
  EXPECT_THAT(failed.error().message(), HasSubstr("kernel/sched/ext.c:7:3: error: unknown type name 'foo'"));
  // As make said it of a tree that was unpacked in part.
  said_ = "make[2]: *** No rule to make target '/tree/arch//Makefile'.  Stop.\n";
  EXPECT_THAT(build().error().message(), AllOf(HasSubstr("*** No rule to make target '/tree/arch//Makefile'"),
                                               Not(HasSubstr("Error 2"))));
  write_test_file(tree_ + "/.config", std::string("\n"));
  EXPECT_THAT(build().error().message(), HasSubstr("configured in place"));
  std::filesystem::remove(tree_ + "/Kconfig");
  EXPECT_THAT(build().error().message(), HasSubstr("is no kernel source tree"));
}

TEST(KernelFragment, TheLastOfTwoLinesCounts) {
  const auto lines = read_fragment("# a comment\nCONFIG_A=y\n\n CONFIG_B=n\nCONFIG_A=m\n", "f");
  ASSERT_TRUE(lines.ok());
  EXPECT_THAT(*lines, ElementsAre("CONFIG_A=m", "# CONFIG_B is not set"));
  EXPECT_THAT(dropped_options(*lines, "CONFIG_A=y\n# CONFIG_B is not set\n"),
              ElementsAre("CONFIG_A=m (it is: y)"));
  EXPECT_THAT(dropped_options({"# CONFIG_C is not set"}, ""), IsEmpty()) << "absent is not set, too";
  for (std::string_view text : {kNeededOptions, kWishedOptions})
    EXPECT_TRUE(read_fragment(std::string(text), "ours").ok());
}

// An unbuilt tree says how it gets built.
TEST_F(KernelBuildTest, KernelTreeOffersTheBuild) {
  auto resolved = resolve_kernel(cache_, {tree_, ""});
  ASSERT_FALSE(resolved.ok());
  EXPECT_THAT(resolved.error().hint(), HasSubstr("ktstr-launch kernel build " + tree_));
}

}  // namespace
}  // namespace ktstr
