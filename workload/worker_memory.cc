// Work on memory and files: IoSync, CachePressure, CacheYield, PageFaultChurn.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <vector>

#include "schemas/spec_generated.h"
#include "workload/worker_loop.h"

namespace ktstr {
namespace {

constexpr uint64_t kDeviceNs = 100'000;  // what a device would take to sync

class CacheWork : public Work {
 public:
  CacheWork(WorkerLoop& loop, bool yields) : loop_(loop), cache_(loop.group()), yields_(yields) {}
  void iterate() override {
    cache_.pass();
    loop_.look();
    if (yields_) loop_.yield();
  }

 private:
  WorkerLoop& loop_;
  CacheWalk cache_;
  bool yields_;
};

class IoSyncWork : public Work {
 public:
  explicit IoSyncWork(WorkerLoop& loop) : loop_(loop), file_(loop.group().size_kb) {}
  void iterate() override {
    if (auto failure = file_.write_once()) loop_.could_not(failure->operation, failure->error);
    loop_.look();
    loop_.sleep_for(kDeviceNs);
  }

 private:
  WorkerLoop& loop_;
  SyncedFile file_;
};

class PageFaultWork : public Work {
 public:
  explicit PageFaultWork(WorkerLoop& loop) : loop_(loop) {}
  void iterate() override {
    const size_t page = 4096, bytes = std::max<size_t>(loop_.group().size_kb, 4) << 10, pages = bytes / page;
    void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
      loop_.could_not(Operation::kMap, errno);
      return loop_.sleep_for(kDeviceNs);
    }
    ::madvise(memory, bytes, MADV_NOHUGEPAGE);
    for (uint32_t i = 0; i < loop_.group().touches && !loop_.stopping(); ++i) {
      random_ = random_ * 6364136223846793005u + 1442695040888963407u;
      static_cast<volatile char*>(memory)[(random_ >> 33) % pages * page] = 1;
      if (i % 16 == 0) loop_.look();
    }
    ::munmap(memory, bytes);
    loop_.spin(loop_.group().spin_iters);
  }

 private:
  WorkerLoop& loop_;
  uint64_t random_ = static_cast<uint64_t>(::getpid());
};

}  // namespace

CacheWalk::CacheWalk(const CgroupSpecT& group)
    : bytes_(std::max<size_t>(group.size_kb, 1) << 10), stride_(std::max<size_t>(group.stride, 1)) {}

void CacheWalk::pass() {
  volatile uint8_t* at = bytes_.data();
  for (size_t i = 0; i < bytes_.size(); i += stride_) at[i] = static_cast<uint8_t>(at[i] + 1);
}

SyncedFile::SyncedFile(uint32_t size_kb) : size_(std::max(size_kb, 1u) << 10) {
  char path[] = "/tmp/ktstr-io-XXXXXX";
  fd_ = ::mkostemp(path, O_CLOEXEC);
  if (fd_ >= 0)
    ::unlink(path);
  else
    open_error_ = errno;
}

SyncedFile::~SyncedFile() {
  if (fd_ >= 0) ::close(fd_);
}

std::optional<SyncedFile::Failure> SyncedFile::write_once() {
  static constexpr char kBlock[4096] = {};
  if (fd_ < 0) return Failure{Operation::kOpen, open_error_};
  for (uint32_t at = 0; at < size_; at += sizeof kBlock)
    if (::pwrite(fd_, kBlock, std::min<size_t>(sizeof kBlock, size_ - at), at) < 0 && errno != EINTR)
      return Failure{Operation::kWrite, errno};
  if (::fsync(fd_) != 0 && errno != EINTR) return Failure{Operation::kSync, errno};
  return std::nullopt;
}

std::unique_ptr<Work> make_memory_work(WorkerLoop& loop) {
  switch (loop.group().work) {
    case WorkType::IoSync:
      return std::make_unique<IoSyncWork>(loop);
    case WorkType::CachePressure:
      return std::make_unique<CacheWork>(loop, false);
    case WorkType::CacheYield:
      return std::make_unique<CacheWork>(loop, true);
    case WorkType::PageFaultChurn:
      return std::make_unique<PageFaultWork>(loop);
    default:
      return nullptr;
  }
}

}  // namespace ktstr
