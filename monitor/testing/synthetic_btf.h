// The types of the synthetic kernel: offsets shared by its builder and its BTF.
#pragma once

#include <cstdint>
#include <vector>

namespace ktstr::testing {

struct SyntheticTypes {
  bool pcpu_layout = true;
};
std::vector<uint8_t> make_synthetic_btf(const SyntheticTypes& types);
// The BTF of a made-up scheduler's object, and the types of its maps in it.
struct SyntheticProgramBtf {
  std::vector<uint8_t> bytes;
  uint32_t bss = 0;  // DATASEC: u64 enqueued; struct cfg cfg at 16
  uint32_t cfg =
      0;  // struct cfg { u32 limit; bool on; enum mode mode at 8; s64 cells[4] at 16; char tag[8] at 48; }
  uint32_t number = 0;  // u32
};
SyntheticProgramBtf make_synthetic_program_btf();

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
inline constexpr uint32_t kTaskState = 36, kTaskList = 88, kTaskListFlags = 104, kTaskFlags = 108,
                          kTaskVtime = 112, kTaskCpus = 120;
// struct scx_dispatch_q
inline constexpr uint32_t kDsqDepth = 12, kDsqSeq = 16, kDsqId = 24, kDsqNode = 40, kDsqTasks = 48,
                          kDsqBytes = 64;
// struct scx_sched
inline constexpr uint32_t kScxOpsName = 48, kScxHash = 192, kScxGlobal = 216, kScxPerCpu = 224,
                          kScxExitKind = 236, kScxWatchdog = 240, kScxBytes = 256;
// struct sched_ext_ops, and the map value that holds one
inline constexpr uint32_t kOpsTimeout = 128, kOpsBytes = 136, kOpsValueState = 4, kOpsValueData = 64;
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
                          kMapName = 24, kMapFlags = 40, kMapBtf = 48, kMapKeyType = 56, kMapValueType = 60,
                          kMapKernelType = 64, kMapFrozen = 68, kMapRecord = 72, kMapBytes = 96;
inline constexpr uint32_t kBtfData = 8, kBtfSize = 20;
inline constexpr uint32_t kArrayStride = 96, kArrayValues = 104;
inline constexpr uint32_t kHashBuckets = 96, kHashCount = 104, kBucketFirst = 8, kBucketBytes = 24,
                          kElementKey = 24;
inline constexpr uint32_t kStorageBuckets = 96, kStorageLog = 104, kStorageNode = 8, kStorageHead = 32,
                          kStorageData = 56, kStorageOwner = 16;
inline constexpr uint32_t kArenaStart = 96, kArenaVm = 104, kVmAddress = 8;
inline constexpr uint32_t kOpsMapValue = 128;
inline constexpr uint32_t kIdrHead = 16, kNodeShift = 1, kNodeSlots = 32;
inline constexpr uint32_t kStructOps = 27;

}  // namespace ktstr::testing
