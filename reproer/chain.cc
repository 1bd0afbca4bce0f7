#include "reproer/chain.h"

#include <algorithm>
#include <initializer_list>

#include "schemas/crash_generated.h"
#include "schemas/guest_generated.h"
#include "scx/constants.h"
#include "scx/crash_frames.h"
#include "scx/named_callback.h"
#include "scx/stall.h"

namespace ktstr {
namespace {

constexpr size_t kMaxKernelLinks = 14;  // the outermost kernel frames are far from the crash, and hot
constexpr size_t kMaxLinks = 48;
constexpr size_t kMaxSubprograms = 8;  // of a callback, where no backtrace leads

const BpfProgramT* holder(const std::vector<BpfProgramT>& programs, const std::string& function,
                          const std::vector<const ChainFrameT*>& frames) {
  const BpfProgramT* found = nullptr;
  for (const BpfProgramT& p : programs) {
    auto has = std::any_of(p.functions.begin(), p.functions.end(),
                           [&](const auto& f) { return f->name == function; });
    if (!has) continue;
    if (p.name == function) return &p;
    // A subprogram is copied into each program that calls it: the copy that ran is in the one on the
    // backtrace.
    const bool on_trace =
        std::any_of(frames.begin(), frames.end(), [&](const auto* f) { return f->function == p.name; });
    if (!found || on_trace) found = &p;
  }
  return found;
}

// The line that opens the function: the first one may come from something inlined at its start.
const LineInfoT* first_line(const BpfProgramT& p, const std::string& function) {
  const LineInfoT* first = nullptr;
  for (const auto& l : p.lines) {
    if (l->function != function || !l->line) continue;
    if (!first) first = l.get();
    const size_t at = l->text.find(function);
    const char next = at == std::string::npos ? 0 : l->text.c_str()[at + function.size()];
    if (next == '(' || next == ',') return l.get();  // "name(…" or "BPF_PROG(name, …"
  }
  return first;
}

void describe(ChainLink* link, const BpfProgramT& p) {
  link->program = p.name;
  if (link->tag.empty()) link->tag = p.tag;
  if (!link->source.empty()) return;
  if (const LineInfoT* l = first_line(p, link->function)) {
    link->source = l->file + ":" + std::to_string(l->line);
    link->source_text = l->text;
  }
}

void add_kernel(CrashChain* chain, const KernelHas& has, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    if (!has(name)) continue;
    ChainLink link;
    link.function = name;
    chain->links.push_back(std::move(link));
  }
}

// Innermost first: a program's subprograms, then its entry. Nothing tells which of many subprograms matter:
// the first ones are taken, each costs time at every call.
void add_callback(CrashChain* chain, const std::vector<BpfProgramT>& programs, const char* member) {
  for (const BpfProgramT& p : programs) {
    if (p.member != member) continue;
    size_t left_out = 0;
    for (size_t i = p.functions.size(); i-- > 0;) {
      if (p.functions[i]->name.empty()) continue;
      if (i > kMaxSubprograms) {
        ++left_out;
        continue;
      }
      ChainLink link;
      link.function = p.functions[i]->name;
      link.bpf = true;
      describe(&link, p);
      const bool known = std::any_of(chain->links.begin(), chain->links.end(), [&](const ChainLink& l) {
        return l.bpf && l.function == link.function;
      });
      if (!known) chain->links.push_back(std::move(link));
    }
    if (left_out)
      chain->dropped.emplace_back(std::to_string(left_out) + " more subprograms of " + p.name,
                                  "no backtrace tells which of them matter, and each costs time");
  }
}

// How a task gets onto a queue, and how a CPU takes one off it: kernel names of all versions; those that this
// kernel does not have are left out silently.
void add_enqueue_path(CrashChain* chain, const std::vector<BpfProgramT>& programs, const KernelHas& has) {
  add_kernel(chain, has, {"dispatch_enqueue", "scx_dispatch_enqueue"});
  add_callback(chain, programs, "enqueue");
  add_kernel(chain, has, {"do_enqueue_task", "scx_do_enqueue_task", "enqueue_task_scx"});
  add_callback(chain, programs, "select_cpu");
}

void add_dispatch_path(CrashChain* chain, const std::vector<BpfProgramT>& programs, const KernelHas& has) {
  add_kernel(chain, has, {"consume_dispatch_q", "scx_consume_dispatch_q"});
  add_callback(chain, programs, "dispatch");
  add_kernel(chain, has,
             {"balance_one", "balance_scx", "do_pick_task_scx", "pick_task_scx", "set_next_task_scx"});
}

// Who calls a callback in the kernel; names of all versions.
struct Callers {
  const char* member;
  int direct;  // so many of the functions call it themselves, and nothing else
  std::initializer_list<const char*> functions;
};
const Callers kCallers[] = {
    {"enqueue",
     2,
     {"do_enqueue_task", "scx_do_enqueue_task", "enqueue_task_scx", "put_prev_task_scx", "enqueue_task",
      "ttwu_do_activate", "try_to_wake_up", "wake_up_new_task"}},
    {"dispatch",
     5,
     {"balance_one", "balance_scx", "do_pick_task_scx", "pick_task_scx", "scx_dispatch_sched"}},
    {"select_cpu", 1, {"select_task_rq_scx", "try_to_wake_up", "wake_up_new_task"}},
    {"running", 0, {"set_next_task_scx"}},
    {"stopping", 0, {"put_prev_task_scx", "dequeue_task_scx"}},
    {"runnable", 0, {"enqueue_task_scx"}},
    {"quiescent", 0, {"dequeue_task_scx"}},
};

void add_alternates(CrashChain* chain, const std::vector<BpfProgramT>& programs, const KernelHas& has) {
  auto known = [&](const std::vector<ChainLink>& links, const std::string& name) {
    return std::any_of(links.begin(), links.end(),
                       [&](const ChainLink& l) { return !l.bpf && l.function == name; });
  };
  auto add = [&](const Callers& c) {
    for (const char* name : c.functions) {
      if (known(chain->links, name) || known(chain->alternates, name) || !has(name)) continue;
      ChainLink link;
      link.function = name;
      chain->alternates.push_back(std::move(link));
    }
  };
  bool programs_seen = false;
  for (const BpfProgramT& p : programs) {
    const bool in_chain = std::any_of(chain->links.begin(), chain->links.end(),
                                      [&](const ChainLink& l) { return l.bpf && l.program == p.name; });
    programs_seen |= in_chain;
    for (const Callers& c : kCallers)
      if (in_chain && p.member == c.member) add(c);
  }
  if (programs_seen) return;
  // The kernel objected to what a callback had left behind: its callers are on the chain, it is not.
  for (const Callers& c : kCallers)
    if (std::any_of(c.functions.begin(), c.functions.begin() + c.direct,
                    [&](const char* name) { return known(chain->links, name); }))
      return add(c);
}

// How schedulers hand a task to a DSQ; names of all versions.
constexpr std::initializer_list<const char*> kInserts = {
    "scx_bpf_dsq_insert",         "scx_bpf_dsq_insert___v2", "scx_bpf_dsq_insert_vtime",
    "__scx_bpf_dsq_insert_vtime", "scx_bpf_dispatch",        "scx_bpf_dispatch_vtime",
    "scx_bpf_dsq_move",           "scx_bpf_dsq_move_vtime",  "scx_bpf_select_cpu_and",
    "__scx_bpf_select_cpu_and"};
// What may fail in a callback that returns an error.
constexpr std::initializer_list<const char*> kFallible = {
    "scx_bpf_create_dsq",  "bpf_timer_init",      "bpf_timer_start",         "htab_map_update_elem",
    "bpf_rbtree_add_impl", "scx_bpf_cpuperf_set", "bpf_list_push_back_impl", "scx_bpf_sub_dispatch"};

void add_kfuncs(CrashChain* chain, const KernelHas& has, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    if (!has(name)) continue;
    ChainLink link;
    link.function = name;
    chain->kfuncs.push_back(std::move(link));
  }
}

CrashChain from_backtrace(const CrashDetectedT& crash, const std::vector<BpfProgramT>& programs) {
  CrashChain chain;
  const CrashFrames frames = split_frames(crash);
  for (size_t i = 0; i < frames.dropped.size(); ++i)
    chain.dropped.emplace_back(frames.dropped[i]->function, frames.reasons[i]);
  size_t kernel = 0;
  for (const ChainFrameT* f : frames.kept) {
    const bool bpf = !f->tag.empty();
    if ((!bpf && ++kernel > kMaxKernelLinks) || chain.links.size() >= kMaxLinks) {
      chain.dropped.emplace_back(f->function, "too far from the crash: the chain is cut here");
      continue;
    }
    const bool repeated = std::any_of(chain.links.begin(), chain.links.end(), [&](const ChainLink& l) {
      return l.function == probed_name(*f) && l.bpf == bpf;
    });
    if (repeated) {
      chain.dropped.emplace_back(f->function, "called again further out: probed once");
      continue;
    }
    ChainLink link;
    link.function = probed_name(*f);
    link.bpf = bpf;
    link.tag = f->tag;
    link.offset = link.function == f->function ? f->offset : 0;
    if (!f->file.empty() && f->line) {
      link.source = f->file + ":" + std::to_string(f->line);
      link.source_text = f->text;
    }
    if (bpf)
      if (const BpfProgramT* p = holder(programs, f->function, frames.kept)) describe(&link, *p);
    chain.links.push_back(std::move(link));
  }
  return chain;
}

}  // namespace

std::string probed_name(const ChainFrameT& frame) {
  return frame.tag.empty() ? frame.function.substr(0, frame.function.find(".cold")) : frame.function;
}

CrashChain extract_chain(const CrashDetectedT* crash, const std::vector<BpfProgramT>& programs,
                         const KernelHas& kernel_has) {
  CrashChain chain;
  const bool stall = crash && is_stall(*crash);
  if (crash) {
    chain = from_backtrace(*crash, programs);
    const auto named = named_callback(crash->message);
    const bool refused = named && named->error != 0 && crash->exit_kind == kScxExitError;
    if (refused) {
      for (const ChainLink& l : chain.links)
        chain.dropped.emplace_back(l.function, "the way to the callback that returned the error");
      chain.links.clear();
      chain.origin = ChainOrigin::kRefusal;
      add_callback(&chain, programs, named->member.c_str());
      add_kfuncs(&chain, kernel_has, kFallible);
      return chain;
    }
    if (!chain.links.empty() && !stall) {
      add_alternates(&chain, programs, kernel_has);
      const bool own =
          std::any_of(chain.links.begin(), chain.links.end(), [](const auto& l) { return l.bpf; });
      if (!own && crash->kind == CrashKind::SchedExtExit) {
        if (named) add_callback(&chain, programs, named->member.c_str());
        add_kfuncs(&chain, kernel_has, kInserts);
      }
      return chain;
    }
  }
  // A stall is noticed far from its cause: the watchdog's backtrace says nothing about the task that waits.
  for (const ChainLink& l : chain.links) chain.dropped.emplace_back(l.function, "the watchdog's own path");
  chain.links.clear();
  chain.origin = stall ? ChainOrigin::kStall : ChainOrigin::kCallbacks;
  if (programs.empty() && !stall) return chain;
  add_dispatch_path(&chain, programs, kernel_has);
  add_enqueue_path(&chain, programs, kernel_has);
  if (chain.origin == ChainOrigin::kCallbacks)
    for (const char* member : {"running", "stopping", "runnable", "quiescent"})
      add_callback(&chain, programs, member);
  return chain;
}

}  // namespace ktstr
