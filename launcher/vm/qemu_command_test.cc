#include "launcher/vm/qemu_command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/child.h"

namespace ktstr {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;

QemuOptions options() {
  QemuOptions o;
  o.topology.cores = 4;
  o.kernel = "/k/vmlinuz";
  o.initrd = "/r/initrd";
  o.ram_fd = 5;
  o.console_fd = 10;
  o.channel_fd = 11;
  o.qmp_socket = "/r/qmp";
  return o;
}

std::string after(const std::vector<std::string>& argv, const std::string& flag) {
  auto it = std::find(argv.begin(), argv.end(), flag);
  return it == argv.end() || it + 1 == argv.end() ? "" : *(it + 1);
}

TEST(QemuCommand, TcgIsAlwaysSingleThreaded) {
  EXPECT_EQ(after(build_qemu_command(options()).value(), "-accel"), "tcg,thread=single");
  auto kvm = options();
  kvm.accelerator = "kvm";
  EXPECT_EQ(after(build_qemu_command(kvm).value(), "-accel"), "kvm");
}

TEST(QemuCommand, CarriesConsoleChannelAndControl) {
  auto argv = build_qemu_command(options()).value();
  EXPECT_THAT(argv, Contains("socket,id=console,fd=10"));
  EXPECT_THAT(argv, Contains("socket,id=channel,fd=11"));
  EXPECT_THAT(argv, Contains("virtserialport,chardev=channel,name=ktstr.channel"));
  EXPECT_THAT(argv, Contains("socket,id=qmp,path=/r/qmp,server=on,wait=off"));
  EXPECT_THAT(argv, Contains("-no-reboot"));
  EXPECT_THAT(argv, Contains(HasSubstr("spawn=deny"))) << "a guest that breaks into QEMU starts no program";
}

TEST(QemuCommand, OnlyAGuestThatReadsTheHostsCounterIsToldItsRate) {
  auto o = options();
  o.tsc_khz = 2'594'000;
  EXPECT_THAT(build_kernel_cmdline(o), HasSubstr(" tsc_early_khz=2594000"));
  o.accelerator = "kvm";
  EXPECT_THAT(build_kernel_cmdline(o), Not(HasSubstr("tsc_early_khz")));
  o.accelerator = "tcg";
  o.deterministic.emplace();
  EXPECT_THAT(build_kernel_cmdline(o), Not(HasSubstr("tsc_early_khz")));
  EXPECT_THAT(build_kernel_cmdline(options()), Not(HasSubstr("tsc_early_khz")));
}

TEST(QemuCommand, KernelCommandLine) {
  EXPECT_THAT(build_kernel_cmdline(options()), HasSubstr(" quiet "));
  EXPECT_THAT(build_kernel_cmdline(options()), Not(HasSubstr("nokaslr")));
  auto o = options();
  o.verbose_console = true;
  o.kaslr = false;
  o.kernel_args = {"foo=1"};
  EXPECT_THAT(build_kernel_cmdline(o), Not(HasSubstr("quiet")));
  EXPECT_THAT(build_kernel_cmdline(o), HasSubstr("nokaslr foo=1"));
}

TEST(QemuCommand, RefusesWhatQemuWouldMisread) {
  auto message = [](auto change) {
    auto o = options();
    change(&o);
    auto argv = build_qemu_command(o);
    return argv.ok() ? std::string("accepted") : argv.error().message();
  };
  EXPECT_THAT(message([](auto* o) { o->qmp_socket = "/" + std::string(107, 'x'); }), HasSubstr("over 107"));
  EXPECT_EQ(message([](auto* o) { o->qmp_socket = "/" + std::string(106, 'x'); }), "accepted");
  EXPECT_THAT(message([](auto* o) { o->qmp_socket = "/a,b"; }), HasSubstr("comma"));
  EXPECT_THAT(message([](auto* o) { o->accelerator = "hax"; }), HasSubstr("hax"));
  EXPECT_THAT(message([](auto* o) { o->kernel = ""; }), HasSubstr("no kernel"));
  EXPECT_THAT(message([](auto* o) { o->topology.cores = 0; }), HasSubstr("topology"));
}

TEST(QemuCommand, AShellReadsTheQuotedCommandBack) {
  std::vector<std::string> argv = {"printf",          "%s\n", "plain", "two words", "it's", "",
                                   "$HOME `x` \"q\"", "a\\b", "*"};
  ChildOptions shell;
  shell.argv = {"/bin/sh", "-c", shell_quote(argv)};
  auto run = run_captured(shell, std::chrono::seconds(20));
  ASSERT_TRUE(run.ok());
  EXPECT_EQ(run->out, "plain\ntwo words\nit's\n\n$HOME `x` \"q\"\na\\b\n*\n");
}

TEST(QemuCommand, APastedCommandNeedsNothingOfOurs) {
  auto line = paste_command(options()).value();
  EXPECT_THAT(line, Not(HasSubstr("/proc/self")));
  EXPECT_THAT(line, Not(HasSubstr("-chardev socket")));
  EXPECT_THAT(line, HasSubstr("-initrd /r/initrd"));
  EXPECT_THAT(line, HasSubstr("-append 'console=ttyS0 quiet"));
}

TEST(QemuCommand, ForGdbTheGuestStandsStillAndItsAddressesAreThoseOfTheImage) {
  auto o = options();
  o.gdb = GdbStub{.socket = "/r/gdb.sock", .waits = true};
  const auto argv = build_qemu_command(o).value();
  EXPECT_THAT(argv, Contains("-S"));
  EXPECT_THAT(argv, Contains("socket,id=gdb,path=/r/gdb.sock,server=on,wait=off"));
  EXPECT_THAT(build_kernel_cmdline(o), HasSubstr(" nokaslr"));
  EXPECT_THAT(build_kernel_cmdline(options()), Not(HasSubstr("nokaslr")));
  EXPECT_THAT(paste_command(o).value(), Not(HasSubstr("gdb")));
  EXPECT_EQ(vm_started_facts(o, argv).gdb, "/r/gdb.sock");
  o.gdb = GdbStub{.socket = "/a,b", .waits = true};
  EXPECT_FALSE(build_qemu_command(o));
}

TEST(QemuCommand, FactsOfVmStarted) {
  auto o = options();
  o.memory_mb = 4096;
  auto facts = vm_started_facts(o, {"qemu"});
  EXPECT_EQ(facts.vcpus, 4u);
  EXPECT_EQ(facts.ram_bytes, 4ull << 30);
  EXPECT_EQ(facts.lowmem_bytes, 2ull << 30);
  EXPECT_EQ(facts.qmp_path, "/r/qmp");
}

}  // namespace
}  // namespace ktstr
