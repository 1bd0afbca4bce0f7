// Kernel images, plain and compressed: boot header, streams, ELF sections, BTF and what is looked up in it.
#include <sys/mman.h>
#include <unistd.h>

#include "base/unique_fd.h"
#include "bpf/btf_view.h"
#include "bpf/kernel_image.h"
#include "bpf/testing/fake_kernel.h"
#include "tests/fuzz/fuzz_kit.h"

namespace ktstr::fuzz {

std::vector<Input> seeds() {
  FakeKernel kernel;
  FakeKernel damaged;
  damaged.damaged_kfuncs = true;
  const std::vector<uint8_t> elf = fake_vmlinux(kernel);
  return {elf,
          fake_vmlinux(damaged),
          fake_bzimage(kernel, elf, FakePacking::kZstd),
          fake_bzimage(kernel, elf, FakePacking::kXz),
          fake_bzimage(kernel, elf, FakePacking::kGzip),
          fake_bzimage(kernel, elf, FakePacking::kZstd, false)};
}

}  // namespace ktstr::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace ktstr;
  using namespace ktstr::fuzz;
  UniqueFd file(::memfd_create("image", MFD_CLOEXEC));
  must(file.valid() && ::write(file.get(), data, size) == static_cast<ssize_t>(size), "no memory file");
  auto image = read_kernel_image("/proc/self/fd/" + std::to_string(file.get()));
  if (!image) return 0;
  (void)check_kernel_usable(*image);
  (void)kfuncs_text(damaged_kfuncs(image->btf));
  auto btf = BtfView::from_bytes(image->btf);
  if (!btf) return 0;
  for (const char* name : {"sched_ext_ops", "task_struct", "rq"})
    if (auto type = btf->find_struct(name)) (void)btf->members(*type);
  if (auto id = btf->find_function("scx_bpf_kick_cpu")) (void)btf->function(*id);
  return 0;
}
