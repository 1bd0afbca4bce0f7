#include "base/sha256.h"

#include <fcntl.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vector>

#include "base/unique_fd.h"

namespace ktstr {

struct Sha256::State {
  crypto_hash_sha256_state sodium;
};

Sha256::Sha256() : state_(std::make_unique<State>()) { crypto_hash_sha256_init(&state_->sodium); }
Sha256::~Sha256() = default;

void Sha256::add(std::span<const uint8_t> bytes) {
  crypto_hash_sha256_update(&state_->sodium, bytes.data(), bytes.size());
}

std::string Sha256::hex() {
  uint8_t raw[crypto_hash_sha256_BYTES];
  char text[2 * sizeof raw + 1];
  crypto_hash_sha256_final(&state_->sodium, raw);
  sodium_bin2hex(text, sizeof text, raw, sizeof raw);
  return text;
}

Result<std::string> sha256_file(const std::string& path) {
  // The path may come from a foreign log: no device without an end, no pipe without a writer.
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return Error::from_errno(path);
  struct stat info{};
  if (::fstat(fd.get(), &info) != 0) return Error::from_errno(path);
  if (!S_ISREG(info.st_mode)) return Error::invalid(path + ": no regular file");
  Sha256 hash;
  std::vector<uint8_t> chunk(1u << 18);
  while (true) {
    ssize_t n = ::read(fd.get(), chunk.data(), chunk.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Error::from_errno("read " + path);
    if (n == 0) return hash.hex();
    hash.add({chunk.data(), static_cast<size_t>(n)});
  }
}

}  // namespace ktstr
