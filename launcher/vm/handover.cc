#include "launcher/vm/handover.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <functional>

#include "base/small_files.h"
#include "base/unique_fd.h"
#include "schemas/envelope.h"
#include "schemas/frame_codec.h"
#include "schemas/run_generated.h"

namespace ktstr {
namespace {

constexpr size_t kPiece = 1u << 20;  // FileEmbedded.data
constexpr size_t kEntropyBytes = 64;

class Bundle {
 public:
  explicit Bundle(int fd) : fd_(fd) {}

  template <typename T>
  Status add(T fact) {
    frame_.clear();
    append_frame(make_event({.source = "launcher"}, std::move(fact)).bytes(), frame_);
    return write_all(fd_, {reinterpret_cast<const char*>(frame_.data()), frame_.size()}, "the handover");
  }

  // The content of one file, which is `file.size` bytes long as it was announced.
  Status add_file(const Initramfs::File& file) {
    UniqueFd in;
    if (!file.host_path.empty()) {
      in = UniqueFd(::open(file.host_path.c_str(), O_RDONLY | O_CLOEXEC));
      if (!in) return Error::from_errno("open " + file.host_path);
    }
    uint64_t offset = 0;
    do {
      FileEmbeddedT piece;
      piece.role = "file";
      piece.path = file.guest_path;
      piece.guest_path = file.guest_path;
      piece.size = file.size;
      piece.offset = offset;
      piece.mode = file.mode & 07777;
      const size_t size = static_cast<size_t>(std::min<uint64_t>(kPiece, file.size - offset));
      if (!in) {
        piece.data.assign(file.bytes.begin() + static_cast<std::ptrdiff_t>(offset),
                          file.bytes.begin() + static_cast<std::ptrdiff_t>(offset + size));
      } else {
        piece.data.resize(size);
        if (auto s = read_exactly(in.get(), piece.data, file.host_path); !s) return s;
      }
      offset += size;
      if (auto s = add(std::move(piece)); !s) return s;
    } while (offset < file.size);
    return {};
  }

 private:
  static Status read_exactly(int fd, std::vector<uint8_t>& into, const std::string& path) {
    for (size_t done = 0; done < into.size();) {
      const ssize_t n = ::read(fd, into.data() + done, into.size() - done);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return Error::from_errno("read " + path);
      if (n == 0) return Error::system(path + " shrank while it was read");
      done += static_cast<size_t>(n);
    }
    return {};
  }

  int fd_;
  std::vector<uint8_t> frame_;
};

Status write_frames(const Initramfs& files, const HandoverRequest& request, int fd) {
  HandoverFinishedT total;
  // Folders come with the files in them.
  auto each_file = [&](const std::function<Status(const Initramfs::File&)>& take) {
    return files.visit(Initramfs::Part::kHandover, [&](const Initramfs::File& file) {
      return S_ISREG(file.mode) ? take(file) : Status();
    });
  };
  auto counted = each_file([&](const Initramfs::File& file) -> Status {
    ++total.files;
    total.bytes += file.size;
    return {};
  });
  if (!counted) return counted;
  if (total.bytes > kMaxHandoverBytes || total.files > kMaxHandoverFiles)
    return Error::exhausted("the files of the test are " + std::to_string(total.files) + " with " +
                            std::to_string(total.bytes >> 20) + " MiB; " + std::to_string(kMaxHandoverFiles) +
                            " with " + std::to_string(kMaxHandoverBytes >> 20) + " MiB go into a guest");
  Bundle bundle(fd);
  HandoverStartedT started;
  started.restored = request.restored;
  started.unix_ns = request.unix_ns;
  started.entropy = request.entropy;
  started.files = total.files;
  started.bytes = total.bytes;
  if (auto s = bundle.add(std::move(started)); !s) return s;
  auto written = each_file([&](const Initramfs::File& file) { return bundle.add_file(file); });
  if (!written) return written;
  return bundle.add(std::move(total));
}

}  // namespace

Status write_handover(const Initramfs& files, const HandoverRequest& request) {
  const std::string part = request.path + ".part";
  UniqueFd fd(::open(part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return Error::from_errno("the handover " + part);
  if (auto s = write_frames(files, request, fd.get()); !s) {
    ::unlink(part.c_str());
    return std::move(s).error().within("the handover");
  }
  if (::rename(part.c_str(), request.path.c_str()) != 0)
    return Error::from_errno("the handover " + request.path);
  return {};
}

Result<std::vector<uint8_t>> fresh_entropy() {
  std::vector<uint8_t> bytes(kEntropyBytes);
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
    return Error::from_errno("random bytes for the VM");
  return bytes;
}

}  // namespace ktstr
