// For tests: kernel images small enough to make on the spot, with the same outside as real ones.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ktstr {

struct FakeKernel {
  std::string release = "7.2.1+test-cloud-amd64";
  bool btf = true;
  bool sched_ext = true;
  bool damaged_kfuncs = false;  // scx_bpf_kick_cpu kept its implicit argument
  std::string build_id = "0123456789abcdef0123456789abcdef01234567";
  uint16_t machine = 62;  // EM_X86_64
};

// A vmlinux ELF.
std::vector<uint8_t> fake_vmlinux(const FakeKernel& kernel);

enum class FakePacking { kZstd, kXz, kGzip };
// A bzImage around `payload`. Without `header_fields` its boot header does not say where the payload is.
std::vector<uint8_t> fake_bzimage(const FakeKernel& kernel, const std::vector<uint8_t>& payload,
                                  FakePacking packing, bool header_fields = true);
// Zstd bzImage of fake_vmlinux(kernel).
std::vector<uint8_t> fake_vmlinuz(const FakeKernel& kernel);

void write_test_file(const std::string& path, const void* data, size_t size);
inline void write_test_file(const std::string& path, const std::vector<uint8_t>& bytes) {
  write_test_file(path, bytes.data(), bytes.size());
}
inline void write_test_file(const std::string& path, const std::string& text) {
  write_test_file(path, text.data(), text.size());
}

// A directory that goes away with the object.
class TestDir {
 public:
  TestDir();
  ~TestDir();
  TestDir(const TestDir&) = delete;
  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace ktstr
