#include "reproer/kernel_loader.h"

#include "base/small_files.h"
#include "bpf/kernel_image.h"
#include "bpf/kernel_sources.h"
#include "schemas/run_generated.h"

namespace ktstr {
namespace {

constexpr size_t kMaxBtf = size_t{256} << 20;  // bytes; kernels have 5 to 10 MB

Result<std::vector<uint8_t>> raw_btf(const KernelInfoT& kernel) {
  if (!kernel.btf_file.empty()) {
    if (auto bytes = read_binary(kernel.btf_file, kMaxBtf))
      return std::vector<uint8_t>(bytes->begin(), bytes->end());
  }
  auto image = read_kernel_image(kernel.path);
  if (!image) return std::move(image).error();
  return std::move(image->btf);
}

}  // namespace

KernelKnowledge load_kernel(const KernelInfoT& kernel) {
  KernelKnowledge out;
  auto btf = raw_btf(kernel);
  if (!btf) {
    out.types_missing = btf.error().message();
  } else {
    auto view = BtfView::from_bytes(*btf);
    if (view)
      out.types = std::move(*view);
    else
      out.types_missing = view.error().message();
  }
  if (!kernel.debuginfo.empty()) {
    if (auto sources = KernelSources::open(kernel.debuginfo)) {
      std::shared_ptr<KernelSources> shared = std::move(*sources);
      out.source = [shared](const std::string& function, uint32_t offset) {
        return shared->place_of(function, offset);
      };
    }
  }
  return out;
}

}  // namespace ktstr
