// Real crashes as people posted them (tests/cases): each gives its cause in the first line, or says what is missing. Facts
// are compared, not the whole wording.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <random>
#include <set>

#include "explain/crash_text.h"
#include "explain/testing/explained.h"

namespace ktstr {
namespace {

using testing::case_text;
using testing::explained;

struct Row {
  std::string file, cls, task, function;
  std::vector<std::string> words;  // of the first line
  std::string lacks;               // a word of what the text lacks; empty: not checked
};
const std::vector<Row>& rows() {
  static const std::vector<Row> rows = {
      {"01-bpfland-kworker-percpu-journald.txt",
       "stall",
       "kworker/10:1",
       "",
       {"stall", "CPU 10", "7.0 s", "per-CPU"},
       "dump"},
      {"02-bpfland-cpumask-vs-dsq.txt",
       "stall/dsq-not-served",
       "kworker/9:0",
       "",
       {"DSQ 0x10", "CPU 9 only", "cc1plus"},
       ""},
      {"02b-bpfland-cpumask-vs-dsq-journald.txt",
       "stall/dsq-not-served",
       "ksoftirqd/2",
       "",
       {"DSQ 0x4", "CPU 2 only", "7.4 s"},
       "CPUs"},
      {"03-bpfland-repeated-ejection-iso-stamps.txt",
       "stall/dsq-busy",
       "clang++",
       "",
       {"clang++", "6.7 s", "DSQ 0x0", "busy"},
       "CPUs"},
      {"05-lavd-watchdog-checkin.txt",
       "stall/watchdog-starved",
       "",
       "",
       {"watchdog itself", "30.0 s"},
       "tasks"},
      {"05b-lavd-7x-dump-tasks.txt", "fragment", "", "", {"part of a sched_ext dump"}, "head"},
      {"06-lavd-task-ctx-lookup.txt",
       "error/bpf",
       "python",
       "lavd_select_cpu",
       {"task_ctx lookup failed", "lavd_select_cpu", "do_notify_parent in do_exit"},
       ""},
      {"08-central-migration-disabled-arm64.txt",
       "error/runtime",
       "Xorg",
       "",
       {"runtime error", "ops.dispatch", "migration-disabled Xorg", "CPU 5", "CPU 0's local DSQ"},
       ""},
      {"10-lavd-two-exits-truncated-dmesg.txt",
       "error/runtime",
       "",
       "",
       {"runtime error", "cut off"},
       "message"},
      {"11-p2dq-target-not-allowed-irqwork.txt",
       "error/runtime",
       "stress-ng-cpu-s",
       "",
       {"deferred direct dispatch", "stress-ng", "CPU 23", "allowed"},
       ""},
      {"14-dsp-local-on-enum-zero.txt",
       "error/runtime",
       "kworker/u8:1",
       "",
       {"runtime error", "CPU 1", "not allowed"},
       "backtrace"},
      {"16-mitosis-cgrp-ctx-enable.txt",
       "error/bpf",
       "scx_mitosis",
       "mitosis_init_task",
       {"while enabling", "cgrp_ctx lookup failed", "mitosis_init_task", "mitosis.bpf.c:119"},
       ""},
      {"17-lavd-negative-runtime-llvm-suffix.txt",
       "error/bpf",
       "rcub/0",
       "lavd_stopping",
       {"run_time_ns is negative", "lavd_stopping"},
       ""},
      {"18-nest-cancel-timer-a.txt",
       "error/bpf",
       "",
       "nest_select_cpu",
       {"Failed to cancel pcpu timer", "nest_select_cpu"},
       ""},
      {"19-pair-foreign-task-kfunc.txt",
       "error/runtime",
       "",
       "scx_bpf_task_cgroup",
       {"scx_bpf_task_cgroup()", "was not given"},
       ""},
      {"21-flash-stall-rt-on-cpu.txt",
       "stall/cpu-taken",
       "python",
       "",
       {"7.5 s", "data-loop.0", "rt_sched_class"},
       ""},
      {"23-lavd-many-cpus-queued-forever.txt",
       "stall/held-by-scheduler",
       "FuncSched",
       "",
       {"QUEUED", "on no DSQ", "21.4 s", "CPU 0 is idle"},
       ""},
      {"24-lavd113-kernel72-dump.txt", "stall", "polkitd", "", {"polkitd", "35.6 s"}, "dump"},
      {"25-lavd113-zen-three-victims.txt", "stall", "ThreadPoolForeg", "", {"35.3 s"}, "dump"},
      {"28-cake-envlogger-70-dump.txt", "fragment", "", "", {"part of a sched_ext dump"}, "head"},
      {"29-warn-cgrp-moving-6182-journald.txt",
       "warning",
       "systemd",
       "scx_cgroup_move_task",
       {"not fatal", "scx_cgroup_move_task"},
       ""},
      {"30-warn-cgrp-moving-61910.txt",
       "warning",
       "systemd",
       "scx_cgroup_move_task",
       {"not fatal", "scx_cgroup_move_task"},
       "first line"},
      {"34-bpfland-warn-then-oops-in-printing.txt",
       "oops/printing",
       "pipewire-pulse",
       "hex_string",
       {"oops in hex_string", "warning in scx_dsq_insert_commit", "printed"},
       ""},
      {"35-arm64-panic-while-printing-exit.txt",
       "panic/printing",
       "sched_ext_helpe",
       "__sprint_symbol",
       {"panic", "already direct-dispatched", "__sprint_symbol"},
       ""},
      {"37-oops-in-disable-ubuntu67.txt",
       "oops",
       "sched_ext_ops_h",
       "scx_ops_disable_workfn",
       {"oops", "NULL pointer", "scx_ops_disable_workfn"},
       ""},
      {"38-int3-oops-nest-virtme.txt",
       "artefact",
       "swapper/1",
       "scheduler_tick",
       {"int3", "emulator artifact"},
       ""},
      {"39-hung-task-chain-hotplug.txt",
       "hung-task",
       "scx_simple",
       "scx_ops_enable",
       {"kthreadd (in scx_pre_fork)", "cpuhp/13 (in tmigr_cpu_offline)", "scx_simple (in scx_ops_enable)"},
       ""},
      {"41-rcu-stall-flatcg.txt", "rcu-stall", "", "", {"RCU stall on CPU 1", "uncertain"}, "certain"},
      {"43-lockdep-invalid-wait-context-70.txt",
       "lockdep",
       "scx_enable_help",
       "get_random_u32",
       {"invalid wait context", "batched_entropy_u32.lock"},
       "trace"},
      {"44-lockdep-inconsistent-arm64.txt",
       "lockdep",
       "runner",
       "",
       {"inconsistent lock state", "&rq->__lock"},
       ""},
      {"47-i915-warn-red-herring.txt",
       "warning",
       "kworker/u32:6",
       "hsw_enable_pc8",
       {"i915", "hsw_enable_pc8"},
       ""},
      {"50-hard-lockup-crash-header.txt", "hard-lockup", "dbus-broker", "", {"Hard LOCKUP on CPU 5"}, "log"},
      {"51-load-hw-pressure-nix.txt",
       "load/btf-variable",
       "",
       "",
       {"did not load", "hw_pressure", "BTF"},
       ""},
      {"53-load-missing-kfunc-c.txt", "load/kfunc", "", "", {"no kfunc 'scx_bpf_switch_all'"}, ""},
      {"54-load-structops-member-missing.txt", "load/member", "", "", {"no member cgroup_set_bandwidth"}, ""},
      {"55-load-kernel-btf-missing.txt", "load/no-btf", "", "", {"no BTF", "CONFIG_DEBUG_INFO_BTF"}, ""},
      {"56-verifier-helper-not-allowed.txt",
       "load/helper",
       "",
       "simple_exit",
       {"'simple_exit'", "bpf_probe_read_str"},
       ""},
      {"57-verifier-kfunc-unresolved-scxtop.txt",
       "load/kfunc",
       "",
       "collect_scx_stats",
       {"'collect_scx_stats'", "scx_bpf_events"},
       ""},
      {"59-verifier-match-layer-truncated.txt",
       "load/cut",
       "",
       "match_layer",
       {"cut off", "main.bpf.c:1033", "layers[layer_id]"},
       "objection"},
      {"60-verifier-arena-scalar.txt",
       "load/verifier",
       "",
       "",
       {"R6 invalid mem access 'scalar'", "sdt_alloc.bpf.c:114", "stack->idx"},
       "name"},
      {"60b-verifier-arena-init-truncated.txt",
       "load/cut",
       "",
       "arena_init",
       {"cut off", "arena_init", "arena.bpf.c:26", "EACCES"},
       "objection"},
      {"62-verifier-iter-arg-lavd.txt",
       "load/verifier",
       "",
       "lavd_select_cpu",
       {"lavd_select_cpu", "expected uninitialized iter_scx_dsq as arg #1"},
       ""},
      {"64-verifier-infinite-loop-format.txt",
       "load/verifier",
       "",
       "",
       {"infinite loop detected at insn 262", "retsnoop.bpf.c:687"},
       ""},
      {"65-verifier-too-large-format.txt",
       "load/too-large",
       "",
       "",
       {"too large", "1000001", "budget ended"},
       ""},
      {"67-verifier-refs-truncated-lavd.txt",
       "load/cut",
       "",
       "",
       {"cut off", "scx_cgroup_bw_put_aside", "main.bpf.c:629"},
       "objection"},
      {"68-rust-panic-debugfs.txt",
       "user/panic",
       "",
       "",
       {"before it attached", "energy_model.rs:237", "No debugfs mount found"},
       ""},
      {"70-attach-returned-null.txt",
       "load/busy",
       "",
       "",
       {"did not attach", "another sched_ext scheduler is running"},
       "errno"},
      {"71-preempt-rt-refused.txt", "load/not-supported", "", "", {"PREEMPT_RT", "EOPNOTSUPP"}, "libbpf"},
      {"72-other-program-kills-running-scheduler.txt",
       "error/bpf",
       "scx_chaos",
       "",
       {"scx_bpf_error", "Did not find map entry", "scx_chaos"},
       "which scheduler"},
      {"74-flash-local-dsq-idle-cpu-no-kick.txt",
       "stall/local-no-kick",
       "scx_flash",
       "",
       {"CPU 3's local DSQ", "5.1 s", "idle", "not kicked"},
       ""},
      {"75-warn-bypass-decoded-inline-frames.txt",
       "warning",
       "syz-executor.0",
       "scx_ops_bypass",
       {"scx_ops_bypass", "kernel/sched/ext.c:3246"},
       ""},
      {"76-hung-task-decoded-frames-syzkaller.txt",
       "hung-task",
       "kworker/u4:5",
       "bpf_map_free_deferred",
       {"kworker/u4:5", "bpf_map_free_deferred"},
       ""},
  };
  return rows;
}

TEST(Cases, FirstLineNamesTheCause) {
  for (const Row& row : rows()) {
    const auto crashes = explained(case_text(row.file));
    ASSERT_FALSE(crashes.empty()) << row.file;
    const Explanation& first = crashes.front();
    EXPECT_EQ(first.cls, row.cls) << row.file;
    if (!row.task.empty()) {
      EXPECT_EQ(first.task, row.task) << row.file;
    }
    if (!row.function.empty()) {
      EXPECT_EQ(first.function, row.function) << row.file;
    }
    for (const std::string& word : row.words)
      EXPECT_NE(first.summary.find(word), std::string::npos)
          << row.file << ": \"" << word << "\" in: " << first.summary;
    std::string lacks;
    for (const std::string& text : first.lacks) lacks += text + "; ";
    if (!row.lacks.empty()) {
      EXPECT_NE(lacks.find(row.lacks), std::string::npos) << row.file << ": " << lacks;
    }
  }
}

TEST(Cases, EveryFileIsInTheTable) {
  std::set<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(KTSTR_CASES))
    if (entry.path().extension() == ".txt") files.insert(entry.path().filename());
  for (const Row& row : rows()) files.erase(row.file);
  EXPECT_TRUE(files.empty()) << *files.begin();
}

std::string signature_of(const std::string& prefix, size_t crash = 0) {
  for (const Row& row : rows())
    if (row.file.starts_with(prefix + "-")) {
      const auto crashes = explained(case_text(row.file));
      return crash < crashes.size() ? crashes[crash].signature : "";
    }
  ADD_FAILURE() << prefix;
  return {};
}

TEST(Cases, OneFailureIsOneCrash) {
  for (const Row& row : rows())
    if (row.cls.starts_with("load/") || row.cls.starts_with("user/")) {
      EXPECT_EQ(explained(case_text(row.file)).size(), 1u) << row.file;
    }
}

TEST(Cases, OneBugHasOneSignature) {
  EXPECT_EQ(signature_of("24"), signature_of("25"));
  EXPECT_EQ(signature_of("25", 0), signature_of("25", 2));
  EXPECT_EQ(signature_of("29"), signature_of("30"));
  EXPECT_EQ(signature_of("34"), signature_of("35"));  // the fall in printing
}

TEST(Cases, OtherBugsHaveOtherSignatures) {
  std::map<std::string, std::string> seen;
  for (const Row& row : rows()) {
    const std::string number = row.file.substr(0, row.file.find('-'));
    if (number == "25" || number == "30" || number == "35" || row.cls == "fragment") continue;
    const std::string signature = signature_of(number);
    EXPECT_FALSE(signature.empty()) << number;
    const auto [at, fresh] = seen.emplace(signature, number);
    EXPECT_TRUE(fresh) << number << " = " << at->second << ": " << signature;
  }
}

TEST(Cases, AllInOneTextAreStillToldApart) {
  std::string all;
  std::set<std::string> expected;
  for (const Row& row : rows()) {
    if (row.cls == "fragment") continue;
    all += case_text(row.file) + std::string(20, '\n');
    expected.insert(signature_of(row.file.substr(0, row.file.find('-'))));
  }
  std::set<std::string> told;
  for (const Explanation& crash : explained(all)) told.insert(crash.signature);
  std::vector<std::string> missing;
  std::set_difference(expected.begin(), expected.end(), told.begin(), told.end(),
                      std::back_inserter(missing));
  EXPECT_TRUE(missing.empty()) << ::testing::PrintToString(missing);
}

TEST(Cases, PrefixesAnsiIndentationAndReturnsChangeNothing) {
  for (const Row& row : rows()) {
    const std::string text = case_text(row.file);
    const std::string plain = signature_of(row.file.substr(0, row.file.find('-')));
    std::string indented, colored, returns, quoted;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) {
      indented += "    " + line + "\n";
      colored += "\x1b[1;31m" + line + "\x1b[0m\n";
      returns += line + "\r\n";
      quoted += "> " + line + "\n";
    }
    for (const std::string& changed : {indented, colored, returns, quoted}) {
      const auto crashes = explained(changed);
      ASSERT_FALSE(crashes.empty()) << row.file;
      EXPECT_EQ(crashes.front().signature, plain) << row.file;
    }
  }
}

std::string prefixed(const std::string& text, const std::string& prefix) {
  std::string out;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) out += prefix + line + "\n";
  return out;
}

TEST(Cases, WhoPrintedTheLinesChangesNothing) {
  for (const Row& row : rows()) {
    // A verifier's log of a level logger: its first line has a prefix of its own.
    if (row.cls == "load/cut") continue;
    const std::string plain = signature_of(row.file.substr(0, row.file.find('-')));
    for (const char* prefix :
         {"Sep 23 13:02:57 host1 kernel: ", "Sep 23 13:02:57 host1 bash[12]: ", "[Tue Sep 23 13:02:57 2025] ",
          "2025-09-23T13:02:57.123456+02:00 host1 kernel: ", "[  +0.000010] ",
          "<4>1 2026-03-04T22:57:02.000001Z host1 kernel - - - ",
          "03-04 22:57:02.123     0     0 W kernel  : ", "4,123,700000001,-;",
          "2026-03-04T22:57:02,000010+01:00 ", "2026-03-04T22:57:02.0000001Z ", "> > ",
          "kern.log:", "host1  | "}) {
      const auto crashes = explained(prefixed(case_text(row.file), prefix));
      ASSERT_FALSE(crashes.empty()) << row.file << " " << prefix;
      EXPECT_EQ(crashes.front().signature, plain) << row.file << " " << prefix;
    }
  }
}

TEST(Cases, NumbersBlankLinesAndFencesChangeNothing) {
  for (const Row& row : rows()) {
    const std::string plain = signature_of(row.file.substr(0, row.file.find('-')));
    std::string counted, searched, doubled, trailing;
    std::istringstream in(case_text(row.file));
    int n = 0;
    for (std::string line; std::getline(in, line);) {
      ++n;
      counted += "   " + std::to_string(n) + "\t" + line + "\n";
      // grep -n -A: the lines after the one that was found have other separators.
      const std::string separator = n % 3 ? "-" : ":";
      searched += "kern.log" + separator + std::to_string(n) + separator + line + "\n";
      doubled += line + "\n\n";
      trailing += line + "  \n";
    }
    const std::string fenced =
        "It happens at night:\n\n```dmesg\n" + case_text(row.file) + "\n```\n\nAny idea why it does?\n";
    for (const std::string& changed : {counted, searched, doubled, trailing, fenced}) {
      const auto crashes = explained(changed);
      ASSERT_FALSE(crashes.empty()) << row.file << "\n" << changed.substr(0, 400);
      EXPECT_EQ(crashes.front().signature, plain) << row.file << "\n" << changed.substr(0, 400);
    }
  }
}

TEST(Cases, OtherProgramsLinesBetweenChangeNothing) {
  for (const Row& row : rows()) {
    std::string mixed;
    std::istringstream in(case_text(row.file));
    int n = 0;
    for (std::string line; std::getline(in, line);) {
      mixed += line + "\n";
      if (++n % 3 == 0)
        mixed += "Sep 23 13:02:57 host1 systemd[1]: Started user session " + std::to_string(n) + ".\n";
    }
    const auto crashes = explained(mixed);
    ASSERT_FALSE(crashes.empty()) << row.file;
    EXPECT_EQ(crashes.front().signature, signature_of(row.file.substr(0, row.file.find('-')))) << row.file;
  }
}

TEST(Cases, DamageNeitherCrashesNorHangs) {
  std::mt19937 random(11);
  auto below = [&](size_t n) { return n ? std::uniform_int_distribution<size_t>(0, n - 1)(random) : 0; };
  for (const Row& row : rows()) {
    const std::string text = case_text(row.file);
    std::vector<std::string> lines;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    for (int round = 0; round < 40; ++round) {
      std::string changed = text.substr(below(text.size()), below(text.size()) + 1);
      if (round % 4 == 1) {
        auto shuffled = lines;
        std::shuffle(shuffled.begin(), shuffled.end(), random);
        changed.clear();
        for (const std::string& line : shuffled) changed += line + "\n";
      } else if (round % 4 == 2) {
        changed = text;
        for (int i = 0; i < 20 && !changed.empty(); ++i)
          changed[below(changed.size())] = static_cast<char>(below(256));
      } else if (round % 4 == 3) {
        changed.clear();
        for (const std::string& line : lines) changed += line.substr(0, below(line.size() + 1)) + "\n";
      }
      ExplainedText out;
      out.crashes = explained(changed);
      EXPECT_FALSE(text_report(out).empty());
      EXPECT_FALSE(json_report(out).empty());
      for (const Explanation& crash : out.crashes) {
        EXPECT_FALSE(crash.summary.empty());
        EXPECT_FALSE(crash.signature.empty());
        EXPECT_FALSE(crash.cls.empty());
      }
    }
  }
}

}  // namespace
}  // namespace ktstr
