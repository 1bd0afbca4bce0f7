#include "reproer/kernel_loader.h"

#include "bpf/kernel_image.h"
#include "reproer/kernel_sources.h"
#include "schemas/run_generated.h"

namespace ktstr {

KernelKnowledge load_kernel(const KernelInfoT& kernel) {
  KernelKnowledge out;
  auto image = read_kernel_image(kernel.path);
  if (!image) {
    out.types_missing = image.error().message();
  } else {
    auto view = BtfView::from_bytes(image->btf);
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
