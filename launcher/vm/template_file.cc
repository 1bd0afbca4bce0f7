#include "launcher/vm/template_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/crc32c.h"

namespace ktstr {
namespace {

constexpr char kMagic[8] = {'K', 'T', 'V', 'M', 'T', 'P', 'L', '\n'};
constexpr uint32_t kVersion = 1;
constexpr uint64_t kPage = 4096;
constexpr uint64_t kPagesInSegment = 1024;
constexpr uint64_t kSegment = kPage * kPagesInSegment;
constexpr uint64_t kMaxState = 64u << 20;  // QEMU's is below 1 MiB
constexpr uint64_t kMaxSegments = 1u << 20;
constexpr int kLevel = 1;  // of zstd: as fast as the page cache, a third of the bytes

struct Header {
  char magic[8];
  uint32_t version;
  uint32_t index_count;
  uint64_t ram_bytes;
  uint64_t index_at;
  char key[64];
  uint32_t index_crc;
  uint32_t header_crc;  // of all before
};
static_assert(sizeof(Header) == 104);

struct Entry {
  uint64_t at;          // in the file
  uint64_t ram_offset;  // of the segment; kIsState: device state
  uint32_t stored;      // compressed bytes
  uint32_t size;        // bytes when unpacked
  uint32_t crc;         // of the compressed bytes
  uint32_t reserved;
  std::array<uint64_t, kPagesInSegment / 64> pages;  // one bit for each that is not zero
};
static_assert(sizeof(Entry) == 32 + 128);
constexpr uint64_t kIsState = UINT64_MAX;

uint32_t crc_of(const void* data, size_t size) { return crc32c({static_cast<const uint8_t*>(data), size}); }

Status read_at(int fd, void* into, size_t size, uint64_t at) {
  for (size_t done = 0; done < size;) {
    const ssize_t n =
        ::pread(fd, static_cast<char*>(into) + done, size - done, static_cast<off_t>(at + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Error::from_errno("read");
    if (n == 0) return Error::invalid("it ends too early");
    done += static_cast<size_t>(n);
  }
  return {};
}

Status write_at(int fd, const void* from, size_t size, uint64_t at) {
  for (size_t done = 0; done < size;) {
    const ssize_t n =
        ::pwrite(fd, static_cast<const char*>(from) + done, size - done, static_cast<off_t>(at + done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return Error::from_errno("write");
    done += static_cast<size_t>(n);
  }
  return {};
}

bool is_zero(const uint8_t* page) {
  uint64_t words[8];
  for (size_t i = 0; i < kPage; i += sizeof words) {
    std::memcpy(words, page + i, sizeof words);
    if ((words[0] | words[1] | words[2] | words[3] | words[4] | words[5] | words[6] | words[7]) != 0)
      return false;
  }
  return true;
}

// Calls work(i) for each i below count, on as many threads as there are CPUs, four at most. The first error is the result.
Status in_parallel(uint64_t count, const std::function<Status(uint64_t)>& work) {
  std::atomic<uint64_t> next{0};
  std::mutex mutex;
  Status result;
  auto run = [&] {
    for (uint64_t i; (i = next.fetch_add(1)) < count;) {
      auto done = work(i);
      if (done) continue;
      std::lock_guard lock(mutex);
      if (result.ok()) result = std::move(done);
      next = count;
    }
  };
  const uint64_t threads = std::min<uint64_t>({std::max(1u, std::thread::hardware_concurrency()), 4, count});
  std::vector<std::jthread> others;
  for (uint64_t i = 1; i < threads; ++i) others.emplace_back(run);
  run();
  others.clear();
  return result;
}

struct FreeContext {
  void operator()(ZSTD_CCtx* c) const { ZSTD_freeCCtx(c); }
  void operator()(ZSTD_DCtx* c) const { ZSTD_freeDCtx(c); }
};

// One segment's buffers; each thread has its own.
struct Buffers {
  std::vector<uint8_t> pages = std::vector<uint8_t>(kSegment), stored;
};

class Writer {
 public:
  explicit Writer(int fd) : fd_(fd) {}

  Status add(Entry entry, const std::vector<uint8_t>& bytes, size_t size, std::vector<uint8_t>& room) {
    thread_local std::unique_ptr<ZSTD_CCtx, FreeContext> context(ZSTD_createCCtx());
    room.resize(ZSTD_compressBound(size));
    const size_t stored =
        ZSTD_compressCCtx(context.get(), room.data(), room.size(), bytes.data(), size, kLevel);
    if (ZSTD_isError(stored)) return Error::system(std::string("zstd: ") + ZSTD_getErrorName(stored));
    entry.stored = static_cast<uint32_t>(stored);
    entry.size = static_cast<uint32_t>(size);
    entry.crc = crc_of(room.data(), stored);
    {
      std::lock_guard lock(mutex_);
      entry.at = end_;
      end_ += stored;
      index_.push_back(entry);
    }
    return write_at(fd_, room.data(), stored, entry.at);
  }

  Status finish(Header header) {
    header.index_count = static_cast<uint32_t>(index_.size());
    header.index_at = end_;
    header.index_crc = crc_of(index_.data(), index_.size() * sizeof(Entry));
    header.header_crc = crc_of(&header, offsetof(Header, header_crc));
    if (auto s = write_at(fd_, index_.data(), index_.size() * sizeof(Entry), end_); !s) return s;
    return write_at(fd_, &header, sizeof header, 0);
  }

 private:
  int fd_;
  std::mutex mutex_;
  uint64_t end_ = sizeof(Header);
  std::vector<Entry> index_;
};

// Takes the segment's pages that are not zero to the front of buffers.pages; returns how many bytes they are.
Result<size_t> gather(int ram_fd, uint64_t offset, uint64_t bytes, Entry& entry, Buffers& buffers) {
  const off_t data = ::lseek(ram_fd, static_cast<off_t>(offset), SEEK_DATA);
  if (data < 0 && errno != ENXIO) return Error::from_errno("the guest's RAM");
  // A hole: reading it would not fill it, but take time.
  if (data < 0 || static_cast<uint64_t>(data) >= offset + bytes) return size_t{0};
  if (auto s = read_at(ram_fd, buffers.pages.data(), bytes, offset); !s) return std::move(s).error();
  size_t used = 0;
  for (uint64_t page = 0; page < bytes / kPage; ++page) {
    const uint8_t* from = buffers.pages.data() + page * kPage;
    if (is_zero(from)) continue;
    entry.pages[page / 64] |= uint64_t{1} << (page % 64);
    std::memmove(buffers.pages.data() + used, from, kPage);
    used += kPage;
  }
  return used;
}

Status write_all_of_it(int fd, const std::string& key, int ram_fd, uint64_t ram_bytes, int state_fd) {
  if (ram_bytes % kPage != 0 || key.size() != sizeof(Header::key))
    return Error::invalid("not the RAM or the key of a template");
  Writer writer(fd);
  auto written = in_parallel((ram_bytes + kSegment - 1) / kSegment, [&](uint64_t i) -> Status {
    thread_local Buffers buffers;
    Entry entry{};
    entry.ram_offset = i * kSegment;
    auto used =
        gather(ram_fd, entry.ram_offset, std::min(kSegment, ram_bytes - entry.ram_offset), entry, buffers);
    if (!used) return std::move(used).error();
    return *used == 0 ? Status() : writer.add(entry, buffers.pages, *used, buffers.stored);
  });
  if (!written) return written;
  struct stat st{};
  if (::fstat(state_fd, &st) != 0) return Error::from_errno("the device state");
  if (st.st_size <= 0 || static_cast<uint64_t>(st.st_size) > kMaxState)
    return Error::invalid("a device state of " + std::to_string(st.st_size) + " bytes");
  std::vector<uint8_t> state(static_cast<size_t>(st.st_size)), room;
  if (auto s = read_at(state_fd, state.data(), state.size(), 0); !s) return s;
  Entry entry{};
  entry.ram_offset = kIsState;
  if (auto s = writer.add(entry, state, state.size(), room); !s) return s;
  Header header{};
  std::memcpy(header.magic, kMagic, sizeof kMagic);
  header.version = kVersion;
  header.ram_bytes = ram_bytes;
  key.copy(header.key, sizeof header.key);
  return writer.finish(header);
}

// Writes the pages to their places, neighbours at once.
Status scatter(int ram_fd, const Entry& entry, const uint8_t* bytes) {
  auto set = [&](uint64_t page) { return (entry.pages[page / 64] >> (page % 64) & 1) != 0; };
  for (uint64_t page = 0; page < kPagesInSegment;) {
    if (!set(page)) {
      ++page;
      continue;
    }
    uint64_t end = page;
    while (end < kPagesInSegment && set(end)) ++end;
    const size_t run = (end - page) * kPage;
    if (auto s = write_at(ram_fd, bytes, run, entry.ram_offset + page * kPage); !s)
      return std::move(s).error().within("the guest's RAM");
    bytes += run;
    page = end;
  }
  return {};
}

// Everything in it is within its bounds.
bool is_sound(const Entry& entry, uint64_t ram_bytes, uint64_t index_at) {
  if (entry.at < sizeof(Header) || entry.at > index_at || entry.stored > index_at - entry.at) return false;
  if (entry.ram_offset == kIsState) return entry.size > 0 && entry.size <= kMaxState;
  if (entry.ram_offset % kSegment != 0 || entry.ram_offset >= ram_bytes) return false;
  const uint64_t there = std::min(kSegment, ram_bytes - entry.ram_offset) / kPage;
  uint64_t pages = 0;
  for (size_t word = 0; word < entry.pages.size(); ++word) {
    pages += static_cast<uint64_t>(std::popcount(entry.pages[word]));
    const uint64_t before = word * 64;
    const uint64_t may = there <= before        ? 0
                         : there - before >= 64 ? ~uint64_t{0}
                                                : (uint64_t{1} << (there - before)) - 1;
    if ((entry.pages[word] & ~may) != 0) return false;
  }
  return entry.size == pages * kPage;
}

}  // namespace

Status write_template(const std::string& path, const std::string& key, int ram_fd, uint64_t ram_bytes,
                      int state_fd) {
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return Error::from_errno("the template " + path);
  auto written = write_all_of_it(fd.get(), key, ram_fd, ram_bytes, state_fd);
  if (written) return {};
  ::unlink(path.c_str());
  return std::move(written).error().within("the template " + path);
}

Result<TemplateFile> TemplateFile::open(const std::string& path, const std::string& key, uint64_t ram_bytes) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!fd) return Error::from_errno("the template " + path);
  auto wrong = [&](const std::string& what) { return Error::invalid("the template " + path + ": " + what); };
  struct stat st{};
  if (::fstat(fd.get(), &st) != 0) return Error::from_errno("the template " + path);
  if (!S_ISREG(st.st_mode) || st.st_uid != ::geteuid() || (st.st_mode & 077) != 0)
    return wrong("it is not a file that its owner alone can read");
  Header header;
  if (auto s = read_at(fd.get(), &header, sizeof header, 0); !s) return wrong(s.error().message());
  if (std::memcmp(header.magic, kMagic, sizeof kMagic) != 0 ||
      header.header_crc != crc_of(&header, offsetof(Header, header_crc)))
    return wrong("its header is damaged");
  const auto size = static_cast<uint64_t>(st.st_size);
  const uint64_t index_bytes = uint64_t{header.index_count} * sizeof(Entry);
  if (header.version != kVersion || std::string(header.key, sizeof header.key) != key ||
      header.ram_bytes != ram_bytes)
    return wrong("it is of another VM");
  if (header.index_count > kMaxSegments || header.index_at > size || index_bytes > size - header.index_at)
    return wrong("it is torn");
  TemplateFile file(std::move(fd), ram_bytes);
  file.index_at_ = header.index_at;
  file.index_count_ = header.index_count;
  file.index_crc_ = header.index_crc;
  return file;
}

Status TemplateFile::load(int ram_fd, int state_fd) const {
  std::vector<Entry> index(index_count_);
  auto damaged = [](const std::string& what) { return Error::invalid("the template is damaged: " + what); };
  if (auto s = read_at(fd_.get(), index.data(), index.size() * sizeof(Entry), index_at_); !s)
    return damaged(s.error().message());
  if (crc_of(index.data(), index.size() * sizeof(Entry)) != index_crc_) return damaged("its index");
  uint64_t states = 0;
  for (const Entry& entry : index) {
    if (!is_sound(entry, ram_bytes_, index_at_)) return damaged("its index");
    states += entry.ram_offset == kIsState;
  }
  if (states != 1) return damaged("its device state");
  return in_parallel(index.size(), [&](uint64_t i) -> Status {
    thread_local Buffers buffers;
    thread_local std::unique_ptr<ZSTD_DCtx, FreeContext> context(ZSTD_createDCtx());
    const Entry& entry = index[i];
    buffers.stored.resize(entry.stored);
    if (buffers.pages.size() < entry.size) buffers.pages.resize(entry.size);
    if (auto s = read_at(fd_.get(), buffers.stored.data(), entry.stored, entry.at); !s)
      return damaged(s.error().message());
    if (crc_of(buffers.stored.data(), entry.stored) != entry.crc) return damaged("a checksum does not fit");
    const size_t size = ZSTD_decompressDCtx(context.get(), buffers.pages.data(), entry.size,
                                            buffers.stored.data(), entry.stored);
    if (ZSTD_isError(size) || size != entry.size) return damaged("zstd cannot unpack it");
    if (entry.ram_offset != kIsState) return scatter(ram_fd, entry, buffers.pages.data());
    return write_at(state_fd, buffers.pages.data(), entry.size, 0);
  });
}

}  // namespace ktstr
