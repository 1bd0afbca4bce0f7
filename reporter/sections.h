// The sections of the failure report, in the order of the page. Each appends itself, title included, when it
// is relevant, and nothing otherwise.
#pragma once

#include "reporter/judge.h"
#include "reporter/page.h"
#include "reporter/run_model.h"

namespace ktstr {

struct TestSpecT;

void stats_section(const RunModel& model, Page& page);
// When the scheduler or its VM is gone, and always under RUST_BACKTRACE=1|full.
void diagnostics_section(const RunModel& model, const Judgement& judgement, Page& page);
void timeline_section(const RunModel& model, Page& page);
void scheduler_log_section(const RunModel& model, Page& page);
void monitor_section(const RunModel& model, Page& page);
// A part of it: the guest's state at the scheduler's exit.
void frozen_part(const VmRecord& vm, Page& page);
// An entry of a hash, queue or storage whose key or value names the thread.
bool is_about_task(const FrozenMapT& map, const FrozenEntryT& entry, int pid);
bool holds_task(const FrozenMapT& map, int pid);
void dump_section(const RunModel& model, Page& page);
void repro_section(const RunModel& model, const Judgement& judgement, Page& page);
// Not one of the eight: the whole console, under KTSTR_VERBOSE=1 or RUST_BACKTRACE.
void console_section(const RunModel& model, Page& page);

// Shared by sections and the passing line.
std::string kernel_release(const RunModel& model);
// Of a deterministic run: "deterministic, seed 7: stream 3f2a09b1c2d3 (perturbed: random)".
std::string determinism_words(const RunModel& model);  // as the guest says, else as the image says
std::string scheduler_words(const RunModel& model);    // "demo (scx_demo --fail-after 500)"
unsigned cpu_count(const TestSpecT& spec);
// Workload start to its end, or to the scheduler's; 0: it did not start.
uint64_t scenario_ns(const RunModel& model);

}  // namespace ktstr
