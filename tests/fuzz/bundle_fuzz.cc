// Bundles: whatever the archive holds, its log comes out or one error, within the bounds.
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/small_files.h"
#include "launcher/bundle/bundle_file.h"
#include "tests/fuzz/fuzz_kit.h"

namespace ktstr::fuzz {

std::vector<Input> seeds() {
  char folder[] = "/tmp/ktstr-fuzz-bundle-XXXXXX";
  must(::mkdtemp(folder) != nullptr, "no scratch folder");
  const std::string path = std::string(folder) + "/b.tar.zst";
  auto writer = BundleWriter::create(path);
  must(writer && writer->add("README.md", "words").ok() &&
           writer->add(kBundleLog, std::string(3000, 'k')).ok() && writer->finish().ok(),
       "no bundle could be made");
  const std::string text = *read_binary(path, 1 << 20);
  ::unlink(path.c_str());
  ::rmdir(folder);
  return {Input(text.begin(), text.end())};
}

}  // namespace ktstr::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace ktstr;
  using namespace ktstr::fuzz;
  UniqueFd file(::memfd_create("bundle", MFD_CLOEXEC));
  must(file && ::write(file.get(), data, size) == static_cast<ssize_t>(size), "no file for the input");
  constexpr BundleBounds kBounds{.log_bytes = 64 << 10, .other_bytes = 64 << 10, .members = 16};
  auto log = log_of_bundle("/proc/self/fd/" + std::to_string(file.get()), kBounds);
  if (!log) {
    must(!log.error().message().empty(), "an error without words");
    return 0;
  }
  struct stat st{};
  must(::fstat(log->get(), &st) == 0 && static_cast<uint64_t>(st.st_size) <= kBounds.log_bytes,
       "a log above its bound");
  return 0;
}
