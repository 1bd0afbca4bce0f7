// The types of the synthetic kernel: offsets shared by its builder and its BTF.
#pragma once

#include <cstdint>
#include <vector>

namespace ktstr::testing {

struct SyntheticTypes {
  bool pcpu_layout = true;
};
std::vector<uint8_t> make_synthetic_btf(const SyntheticTypes& types);

// struct rq
inline constexpr uint32_t kRqCurr = 8, kRqIdle = 16, kRqClock = 24, kRqDomain = 32, kRqRunning = 44,
                          kRqScx = 64, kRqYields = 192, kRqSwitches = 196, kRqGoidle = 200, kRqTtwu = 204,
                          kRqTtwuLocal = 208, kRqCpuTime = 216, kRqSchedInfo = 224, kRqBytes = 256;
// struct scx_rq, at kRqScx
inline constexpr uint32_t kScxRqLocal = 8, kScxRqRunning = 80, kScxRqFlags = 84, kScxRqRunnable = 88;
// struct rt_rq, at kRqRt; struct task_struct
inline constexpr uint32_t kRqRt = 176, kRtRunning = 4;
inline constexpr uint32_t kTaskComm = 8, kTaskPid = 32, kTaskClass = 40, kTaskDsq = 56, kTaskRunnable = 64,
                          kTaskRunnableAt = 80, kTaskBytes = 128;
// struct scx_dispatch_q
inline constexpr uint32_t kDsqDepth = 12, kDsqId = 24, kDsqNode = 40, kDsqBytes = 64;
// struct scx_sched
inline constexpr uint32_t kScxOpsName = 48, kScxHash = 192, kScxGlobal = 216, kScxPerCpu = 224,
                          kScxExitKind = 236, kScxBytes = 256;
// struct scx_sched_pcpu: events at 24; three counters, the middle one 4 bytes wide
inline constexpr uint32_t kPcpuEvents = 24, kPcpuBypass = 64, kPcpuBytes = 128;
inline constexpr uint32_t kNodeGlobal = 16;
// struct bucket_table
inline constexpr uint32_t kTableSize = 4, kTableNest = 8, kTableFuture = 16, kTableBuckets = 64;
// struct sched_domain
inline constexpr uint32_t kDomainParent = 8, kDomainName = 16, kDomainLevel = 24, kDomainInterval = 28,
                          kDomainFailed = 32, kDomainLbCount = 36, kDomainNewidle = 48, kDomainBytes = 56;
// struct clocksource
inline constexpr uint32_t kTickMult = 20, kTickShift = 28;
// BPF
inline constexpr uint32_t kProgType = 4, kProgLen = 8, kProgJited = 12, kProgTag = 16, kProgStats = 24,
                          kProgAux = 32;
inline constexpr uint32_t kAuxId = 4, kAuxVerified = 8, kAuxName = 16, kAuxKsymName = 40, kAuxMaps = 560,
                          kAuxMapCount = 568, kAuxAttach = 572;
inline constexpr uint32_t kStatsRuns = 8, kStatsNs = 16, kStatsMisses = 24, kStatsBytes = 32;
inline constexpr uint32_t kMapId = 4, kMapType = 8, kMapKey = 12, kMapValue = 16, kMapEntries = 20,
                          kMapName = 24;
inline constexpr uint32_t kIdrHead = 16, kNodeShift = 1, kNodeSlots = 32;
inline constexpr uint32_t kStructOps = 27;

}  // namespace ktstr::testing
