// --keep-dump and --gdb on real VMs: what a debugger gets to see of a guest.
#include <elf.h>
#include <fcntl.h>
#include <gelf.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <map>

#include "base/unique_fd.h"
#include "schemas/run_generated.h"
#include "tests/e2e/harness.h"

namespace ktstr::e2e {
namespace {

using std::chrono::milliseconds;

constexpr uint64_t kMemory = 512u << 20;

std::string panicking() {
  return spec_text(
      {.scheduler = "scx_sysrq", .test = "auto_repro = false\nmemory_mb = 512", .duration_s = 20});
}

struct Core {
  int type = 0, machine = 0;
  size_t cpus = 0;         // NT_PRSTATUS
  uint64_t loaded = 0;     // bytes of PT_LOAD segments that lie in the file, each place of the file once
  size_t kernel_maps = 0;  // segments at kernel addresses
};

Core read_core(const std::string& path) {
  Core core;
  elf_version(EV_CURRENT);
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  Elf* elf = elf_begin(fd.get(), ELF_C_READ, nullptr);
  GElf_Ehdr head{};
  size_t segments = 0;
  EXPECT_NE(gelf_getehdr(elf, &head), nullptr) << path;
  EXPECT_EQ(elf_getphdrnum(elf, &segments), 0);
  core.type = head.e_type;
  core.machine = head.e_machine;
  std::map<uint64_t, uint64_t> places;  // offset in the file -> size
  for (size_t i = 0; i < segments; ++i) {
    GElf_Phdr segment{};
    EXPECT_NE(gelf_getphdr(elf, static_cast<int>(i), &segment), nullptr);
    if (segment.p_type == PT_LOAD) {
      places[segment.p_offset] = std::max(places[segment.p_offset], segment.p_filesz);
      core.kernel_maps += segment.p_vaddr >= 0xffffffff80000000;
    }
    if (segment.p_type != PT_NOTE) continue;
    Elf_Data* notes =
        elf_getdata_rawchunk(elf, static_cast<int64_t>(segment.p_offset), segment.p_filesz, ELF_T_NHDR);
    GElf_Nhdr note{};
    size_t name = 0, data = 0;
    for (size_t at = 0; notes && (at = gelf_getnote(notes, at, &note, &name, &data)) > 0;)
      core.cpus +=
          note.n_type == NT_PRSTATUS && std::string(static_cast<char*>(notes->d_buf) + name) == "CORE";
  }
  for (uint64_t end = 0; const auto& [offset, size] : places) {
    const uint64_t from = std::max(offset, end);
    if (offset + size > from) core.loaded += offset + size - from;
    end = std::max(end, offset + size);
  }
  elf_end(elf);
  return core;
}

template <typename T>
const T* find(const std::vector<EventBuffer>& events) {
  for (const EventBuffer& event : events)
    if (const T* found = event.as<T>()) return found;
  return nullptr;
}

TEST(Dump, APanicLeavesTheGuestsMemoryAsACore) {
  Scratch scratch;
  const std::string out = scratch.path() + "/out";
  auto run = launch(scratch, {"run", scratch.write("spec.toml", panicking()), "--keep-dump",
                              "--kernel-arg=ktstr.word", "--out", out});
  EXPECT_EQ(run.exit_code, 1) << run.err;
  const std::string path = out + "/t/memory.elf";
  struct stat st{};
  ASSERT_EQ(::stat(path.c_str(), &st), 0) << run.err;
  EXPECT_EQ(st.st_mode & 07777, 0600u);
  const Core core = read_core(path);
  EXPECT_EQ(core.type, ET_CORE);
  EXPECT_EQ(core.machine, EM_X86_64);
  EXPECT_EQ(core.cpus, 2u);
  EXPECT_GE(core.loaded, kMemory - (1u << 20));
  EXPECT_GT(core.kernel_maps, 0u);

  const auto events = read_log(out + "/t/events.ktlog");
  const auto* dumped = find<GuestMemoryDumped>(events);
  ASSERT_NE(dumped, nullptr);
  EXPECT_EQ(dumped->bytes(), static_cast<uint64_t>(st.st_size));
  EXPECT_LT(dumped->disk_bytes(), kMemory * 3 / 4) << "pages of zeros take no place";
  EXPECT_EQ(str(dumped->reason()), "the guest died (guest-reset)");
  EXPECT_EQ(find<VmExited>(events)->end(), VmEnd::Died);
  const std::string report = read_file(out + "/t/report.txt");
  EXPECT_NE(report.find("memory:     " + path), std::string::npos) << report;
  EXPECT_NE(report.find("added:      --kernel-arg ktstr.word"), std::string::npos) << report;
  EXPECT_NE(run.out.find("--keep-dump=panic --kernel-arg=ktstr.word"), std::string::npos)
      << "the rerun: " << run.out;
  EXPECT_EQ(launch(scratch, {"replay", out + "/t/events.ktlog"}).out, report);

  Running gdb(scratch, {"gdb", "-nx", "-batch", "-ex", "info threads", "-ex", "x/2gx $rsp", "-c", path});
  auto seen = gdb.finish(milliseconds(120'000));
  EXPECT_EQ(seen.exit_code, 0) << seen.err;
  EXPECT_NE(seen.out.find("2    "), std::string::npos) << "both CPUs: " << seen.out;
  EXPECT_NE(seen.out.find("0xff"), std::string::npos)
      << "memory by the kernel's addresses: " << seen.out << seen.err;
  EXPECT_EQ(seen.err.find("Cannot access memory"), std::string::npos) << seen.err;
}

TEST(Dump, OnlyAGuestThatDiesIsDumpedUnlessAlwaysIsAskedFor) {
  Scratch scratch;
  const std::string spec =
      scratch.write("spec.toml", spec_text({.test = "memory_mb = 256", .duration_s = 2}));
  auto plain = launch(scratch, {"run", spec, "--keep-dump=panic", "--out", scratch.path() + "/a"});
  const auto without = read_log(scratch.path() + "/a/t/events.ktlog");
  EXPECT_EQ(find<GuestMemoryDumped>(without), nullptr) << plain.err;
  ASSERT_NE(find<VmExited>(without), nullptr) << plain.err;
  EXPECT_EQ(find<VmExited>(without)->end(), VmEnd::PoweredOff);
  auto always = launch(scratch, {"run", spec, "--keep-dump=always", "--out", scratch.path() + "/b"});
  EXPECT_EQ(always.exit_code, plain.exit_code) << always.err;
  EXPECT_EQ(read_core(scratch.path() + "/b/t/memory.elf").cpus, 2u);
  const auto events = read_log(scratch.path() + "/b/t/events.ktlog");
  ASSERT_NE(find<GuestMemoryDumped>(events), nullptr) << always.err;
  EXPECT_EQ(str(find<GuestMemoryDumped>(events)->reason()), "the guest ended itself");
  EXPECT_EQ(find<VmExited>(events)->end(), VmEnd::PoweredOff);
}

TEST(Dump, AFullDiskIsOneClearErrorAndTheRunGoesOn) {
  if (::geteuid() != 0) GTEST_SKIP() << "a small file system takes root";
  Scratch scratch;
  const std::string spec =
      scratch.write("spec.toml", spec_text({.test = "memory_mb = 256", .duration_s = 2}));
  Running run(scratch, {"unshare", "-m", "sh", "-c",
                        "cd " + scratch.path() +
                            " && mkdir out && mount -t tmpfs -o size=100m none out && " KTSTR_BIN
                            "/ktstr-launch run " +
                            spec + " --keep-dump=always --out out; code=$?; ls out/t; exit $code"});
  auto output = run.finish();
  EXPECT_NE(output.exit_code, 3) << output.err;
  EXPECT_NE(output.err.find("no memory dump: the memory dump takes 320 MiB, and "), std::string::npos)
      << output.err;
  EXPECT_EQ(output.out.find("memory.elf"), std::string::npos) << output.out;
}

TEST(Gdb, TheVmStandsStillUntilGdbLetsItRun) {
  Scratch scratch;
  const std::string spec = scratch.write("spec.toml", spec_text({.duration_s = 1}));
  Running run(scratch, launch_argv({"run", spec, "--gdb", "--out", scratch.path() + "/out"}));
  const std::string before = "target remote ";
  std::string socket;
  ASSERT_TRUE(wait_until(
      [&] {
        const std::string said = run.err();
        const size_t at = said.find(before);
        if (at == std::string::npos || said.find('\'', at) == std::string::npos) return !run.running();
        socket = said.substr(at + before.size(), said.find('\'', at) - at - before.size());
        return true;
      },
      milliseconds(60'000)))
      << run.err();
  ASSERT_FALSE(socket.empty()) << run.err();
  // Not a condition but the thing itself: the guest stands still (FairWait's tests say that no deadline counts it).
  EXPECT_FALSE(wait_until([&] { return !run.running(); }, milliseconds(5'000))) << run.err();
  EXPECT_EQ(run.err().find("kernel booted"), std::string::npos) << run.err();
  Running gdb(scratch, {"gdb", "-nx", "-batch", "-ex", "target remote " + socket, "-ex", "info registers rip",
                        "-ex", "hbreak *0x100000", "-ex", "detach"});
  auto seen = gdb.finish(milliseconds(60'000));
  EXPECT_NE(seen.out.find("0xfff0"), std::string::npos)
      << "the first instruction of the firmware: " << seen.out << seen.err;
  auto output = run.finish();
  EXPECT_NE(output.exit_code, 3) << output.err << output.out;
  const auto events = read_log(scratch.path() + "/out/t/events.ktlog");
  ASSERT_NE(find<VmStarted>(events), nullptr);
  EXPECT_EQ(str(find<VmStarted>(events)->gdb()), socket);
}

// replay --vm --gdb: the VM of a deterministic run takes its course again up to a time, and stands still there for gdb.
TEST(Gdb, ADeterministicVmIsStoppedOnItsCourse) {
  Scratch scratch;
  const std::string spec = scratch.write(
      "spec.toml", spec_text({.scheduler = "scx_good", .test = "auto_repro = false\n", .duration_s = 1}));
  launch(scratch, {"run", spec, "--deterministic", "--out", scratch.path() + "/first"});
  const std::string socket = scratch.path() + "/gdb.sock";
  Running replay(scratch, launch_argv({"replay", scratch.path() + "/first/t/events.ktlog", "--vm", "--at=0.2",
                                       "--gdb", socket, "--out", scratch.path() + "/again"}));
  ASSERT_TRUE(wait_until(
      [&] { return !replay.running() || replay.err().find("target remote " + socket) != std::string::npos; },
      milliseconds(240'000)));
  ASSERT_TRUE(replay.running()) << replay.err();
  // The one CPU's registers, and one instruction more: the guest stands still, and obeys.
  Running gdb(scratch,
              {"gdb", "-nx", "-batch", "-ex", "target remote " + socket, "-ex", "info threads", "-ex",
               "info registers rip", "-ex", "stepi", "-ex", "info registers rip", "-ex", "detach"});
  const auto seen = gdb.finish(milliseconds(60'000));
  EXPECT_NE(seen.out.find("CPU#1"), std::string::npos) << seen.out << seen.err;
  const size_t first = seen.out.find("\nrip ");
  ASSERT_NE(first, std::string::npos) << seen.out << seen.err;
  const size_t second = seen.out.find("\nrip ", first + 1);
  ASSERT_NE(second, std::string::npos) << seen.out << seen.err;
  const auto line = [&](size_t at) { return seen.out.substr(at + 1, seen.out.find('\n', at + 1) - at - 1); };
  EXPECT_NE(line(first), line(second)) << "stepi did not move";
  const auto output = replay.finish(milliseconds(240'000));
  EXPECT_EQ(output.exit_code, 0) << output.out << output.err;
  EXPECT_NE(output.out.find("the same course as recorded up to the stop"), std::string::npos) << output.out;
}

TEST(Gdb, IsForOneTest) {
  Scratch scratch;
  const std::string spec =
      scratch.write("spec.toml", spec_text({.name = "one"}) + spec_text({.name = "two"}));
  auto run = launch(scratch, {"run", spec, "--gdb"});
  EXPECT_EQ(run.exit_code, 2);
  EXPECT_NE(run.err.find("2 are selected"), std::string::npos) << run.err;
}

}  // namespace
}  // namespace ktstr::e2e
