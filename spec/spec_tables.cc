// Attributes of the tables inside a test: cgroups, payloads, steps and their operations, map writes.
#include "schemas/spec_generated.h"
#include "spec/spec_attributes.h"

namespace ktstr {
namespace {

using enum ValueKind;

constexpr std::string_view kCpusForms =
    "a list \"0-3,5\", \"llc:0\", \"numa:0-1\", \"range:0.0-0.5\", \"disjoint:0/2\" or \"overlap:0/2:0.5\"";

// What a worker does; in [[test.cgroup]] and in an operation that spawns.
#define KTSTR_WORK_ATTRIBUTES                                                                                \
  {.name = "workers",                                                                                        \
   .kind = kShare,                                                                                           \
   .min = 1,                                                                                                 \
   .max = 1024,                                                                                              \
   .unit = "workers",                                                                                        \
   .doc =                                                                                                    \
       "Processes forked into the group; a share is of the cpuset's CPUs, in whole groups, one at least.",   \
   .built_in = "workers_per_cgroup"},                                                                        \
      {.name = "work", .kind = kText, .doc = "What each worker does.", .built_in = "\"CpuSpin\""},           \
      {.name = "burst_ms",                                                                                   \
       .kind = kNumber,                                                                                      \
       .min = 0.001,                                                                                         \
       .max = 60000,                                                                                         \
       .unit = "milliseconds",                                                                               \
       .doc = "Length of a computation."},                                                                   \
      {.name = "pause_ms",                                                                                   \
       .kind = kNumber,                                                                                      \
       .min = 0.001,                                                                                         \
       .max = 60000,                                                                                         \
       .unit = "milliseconds",                                                                               \
       .doc = "Length of a sleep."},                                                                         \
      {.name = "size_kb",                                                                                    \
       .kind = kInteger,                                                                                     \
       .min = 4,                                                                                             \
       .max = 1048576,                                                                                       \
       .unit = "KiB",                                                                                        \
       .doc = "Memory that a worker goes through."},                                                         \
      {.name = "stride",                                                                                     \
       .kind = kInteger,                                                                                     \
       .min = 1,                                                                                             \
       .max = 65536,                                                                                         \
       .unit = "bytes",                                                                                      \
       .doc = "From one access to the next."},                                                               \
      {.name = "fan_out",                                                                                    \
       .kind = kInteger,                                                                                     \
       .min = 1,                                                                                             \
       .max = 1023,                                                                                          \
       .unit = "workers",                                                                                    \
       .doc = "Receivers that one messenger wakes."},                                                        \
      {.name = "contenders",                                                                                 \
       .kind = kInteger,                                                                                     \
       .min = 2,                                                                                             \
       .max = 1024,                                                                                          \
       .unit = "workers",                                                                                    \
       .doc = "Workers that fight for one mutex."},                                                          \
      {.name = "hold_iters",                                                                                 \
       .kind = kInteger,                                                                                     \
       .min = 0,                                                                                             \
       .max = 1e9,                                                                                           \
       .unit = "rounds",                                                                                     \
       .doc = "Computation with the mutex held."},                                                           \
      {.name = "work_iters",                                                                                 \
       .kind = kInteger,                                                                                     \
       .min = 0,                                                                                             \
       .max = 1e9,                                                                                           \
       .unit = "rounds",                                                                                     \
       .doc = "Computation without the mutex."},                                                             \
      {.name = "spin_iters",                                                                                 \
       .kind = kInteger,                                                                                     \
       .min = 0,                                                                                             \
       .max = 1e9,                                                                                           \
       .unit = "rounds",                                                                                     \
       .doc = "Computation between two operations."},                                                        \
      {.name = "touches",                                                                                    \
       .kind = kInteger,                                                                                     \
       .min = 1,                                                                                             \
       .max = 1000000,                                                                                       \
       .unit = "pages",                                                                                      \
       .doc = "Random pages touched in each mapping."},                                                      \
      {.name = "phases",                                                                                     \
       .kind = kTexts,                                                                                       \
       .doc =                                                                                                \
           "Sequence: what to do, round and round: \"spin 5ms\", \"sleep 2ms\", \"yield 1ms\", \"io 3ms\".", \
       .built_in = "required by Sequence"},                                                                  \
      {.name = "policy",                                                                                     \
       .kind = kText,                                                                                        \
       .doc = "Scheduling policy: Inherit, Normal, Batch, Idle, Fifo, RoundRobin or Ext.",                   \
       .built_in = "\"Inherit\""},                                                                           \
      {.name = "priority",                                                                                   \
       .kind = kInteger,                                                                                     \
       .min = 1,                                                                                             \
       .max = 98,                                                                                            \
       .unit = "",                                                                                           \
       .doc = "Of Fifo and RoundRobin; init has 99.",                                                        \
       .built_in = "1"},                                                                                     \
      {.name = "nice",                                                                                       \
       .kind = kInteger,                                                                                     \
       .min = -20,                                                                                           \
       .max = 19,                                                                                            \
       .unit = "",                                                                                           \
       .doc = "Nice level.",                                                                                 \
       .built_in = "0"},                                                                                     \
      {.name = "affinity",                                                                                   \
       .kind = kText,                                                                                        \
       .doc = "CPUs that each worker binds itself to, in the forms of `cpuset`.",                            \
       .built_in = "the cpuset's"},                                                                          \
      {.name = "payload",                                                                                    \
       .kind = kText,                                                                                        \
       .doc = "Custom: the [[test.payload]] that each worker is.",                                           \
       .built_in = "required by Custom"},

const Attribute kCgroupAttributes[] = {
    {.name = "name", .kind = kText, .doc = "Name of the cgroup, unique in the test.", .built_in = "required"},
    {.name = "cpuset",
     .kind = kText,
     .doc = "CPUs that the group may use: a list \"0-3,5\", \"llc:0\", \"numa:0-1\", \"range:0.0-0.5\" "
            "(fractions of all CPUs), \"disjoint:0/2\" (the first of two equal parts), or "
            "\"overlap:0/2:0.5\" (parts that share that fraction of a part with their neighbours).",
     .built_in = "all CPUs"},
    KTSTR_WORK_ATTRIBUTES};

const Attribute kSpawnAttributes[] = {KTSTR_WORK_ATTRIBUTES};

const Attribute kMapWriteAttributes[] = {
    {.name = "map",
     .kind = kText,
     .doc = "The map's name, in full or its first 15 bytes: \".bss\", \"scx_demo.bss\", \"cfg\".",
     .built_in = "required"},
    {.name = "field",
     .kind = kText,
     .doc = "Field of the map's value to write: \"limit\", \"cfg.cells[2].weight\".",
     .built_in = "the whole value"},
    {.name = "key",
     .kind = kScalar,
     .doc = "Entry of the map: an array's index, a hash's key.",
     .built_in = "0"},
    {.name = "value",
     .kind = kScalar,
     .doc = "Value to write: a number, true, false, or an enumerator's name.",
     .built_in = "required"},
    {.name = "at_s",
     .kind = kNumber,
     .min = 0,
     .max = 3600,
     .unit = "seconds",
     .doc = "Time of the write, after the workload's start.",
     .built_in = "0"},
};

const Attribute kPayloadAttributes[] = {
    {.name = "name",
     .kind = kText,
     .doc = "Name of the payload, unique in the test.",
     .built_in = "required"},
    {.name = "binary",
     .kind = kText,
     .doc = "The program, found like a scheduler's binary; its shared libraries are copied into the VM.",
     .built_in = "required"},
    {.name = "args", .kind = kTexts, .doc = "Its command line.", .built_in = "none"},
    {.name = "cgroup", .kind = kText, .doc = "The [[test.cgroup]] that it runs in.", .built_in = "the root"},
    {.name = "timeout_s",
     .kind = kNumber,
     .min = 0.1,
     .max = 3600,
     .unit = "seconds",
     .doc = "Time within which it must end by itself, before scaling by the host's speed; the workload goes "
            "on until then. Without a timeout, init ends it with the workload, and that is no failure.",
     .built_in = "none"},
    {.name = "exit_code",
     .kind = kInteger,
     .min = 0,
     .max = 255,
     .unit = "",
     .doc = "The exit code that passes.",
     .built_in = "0"},
    {.name = "on_demand",
     .kind = kBool,
     .doc = "A step starts it; false: it starts with the workload.",
     .built_in = "true when a step runs it or a cgroup's work is it"},
};

const Attribute kStepAttributes[] = {
    {.name = "name", .kind = kText, .doc = "Name of the step, shown as a phase.", .built_in = "step N"},
    {.name = "hold_s",
     .kind = kNumber,
     .min = 0,
     .max = 3600,
     .unit = "seconds",
     .doc = "Pause between the operations and the next step.",
     .built_in = "0"},
    {.name = "hold_frac",
     .kind = kNumber,
     .min = 0,
     .max = 1,
     .unit = "",
     .doc = "The same pause, as a fraction of duration_s.",
     .built_in = "0"},
    {.name = "offline",
     .kind = kText,
     .doc = "CPUs that go offline, before `ops`: the operation of that name.",
     .built_in = "none"},
    {.name = "online",
     .kind = kText,
     .doc = "CPUs that come back, before `ops`: the operation of that name.",
     .built_in = "none"},
};

const OpInfo kOps[] = {
    {OpKind::AddCgroup, "add_cgroup", "", "cpus", "creates a cgroup; `cpus`: its cpuset"},
    {OpKind::RemoveCgroup, "remove_cgroup", "", "", "ends the group's workers and removes the group"},
    {OpKind::SetCpuset, "set_cpuset", "cpus", "", "sets the group's cpuset to `cpus`"},
    {OpKind::ClearCpuset, "clear_cpuset", "", "", "allows the group all CPUs again"},
    {OpKind::SwapCpusets, "swap_cpusets", "with", "", "exchanges the cpusets of two groups"},
    {OpKind::Spawn, "spawn", "", "*", "starts workers in the group: attributes as in [[test.cgroup]]"},
    {OpKind::StopCgroup, "stop", "", "", "ends the group's workers"},
    {OpKind::SetAffinity, "set_affinity", "cpus", "", "binds each worker of the group to `cpus`"},
    {OpKind::MoveAllTasks, "move_tasks", "to", "", "moves all tasks of the group to another group"},
    {OpKind::RunPayload, "run", "", "", "starts a payload"},
    {OpKind::WaitPayload, "wait", "", "", "waits until the payload has ended"},
    {OpKind::KillPayload, "kill", "", "", "ends the payload; this is no failure"},
    {OpKind::Offline, "offline", "", "", "takes these CPUs offline, the highest first; not CPU 0"},
    {OpKind::Online, "online", "", "", "brings CPUs back that a step took offline"},
};

}  // namespace

std::span<const Attribute> cgroup_attributes() { return kCgroupAttributes; }
std::span<const Attribute> spawn_attributes() { return kSpawnAttributes; }
std::span<const Attribute> map_write_attributes() { return kMapWriteAttributes; }
std::span<const Attribute> payload_attributes() { return kPayloadAttributes; }
std::span<const Attribute> step_attributes() { return kStepAttributes; }
std::span<const OpInfo> step_ops() { return kOps; }
bool names_cpus(OpKind kind) { return kind == OpKind::Offline || kind == OpKind::Online; }
std::string_view cpus_forms() { return kCpusForms; }

}  // namespace ktstr
