// explain --kernel, --debuginfo: source lines and inlined functions for the frames of a crash, from the kernel's DWARF. Only
// where the image is of the text's kernel; what does not match is said and left alone.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "bpf/kernel_sources.h"
#include "explain/incident.h"

namespace ktstr {

class SourceLines {
 public:
  // `kernel`: as `run --kernel` takes it, or a built tree or vmlinux of any architecture; `debuginfo`: a vmlinux with DWARF.
  // One of them. Errors: not found, no DWARF in it.
  static Result<std::unique_ptr<SourceLines>> open(const std::string& kernel, const std::string& debuginfo);
  explicit SourceLines(std::unique_ptr<KernelSources> sources, std::string image);

  // Fills file and line of the kernel's frames, and inserts the functions that were inlined there. Returns what does not
  // match, one sentence each.
  std::vector<std::string> annotate(Incident& incident) const;

 private:
  struct Count {
    size_t frames = 0, lines = 0, unknown = 0, other_size = 0;
  };
  template <typename Make, typename Frames>
  void annotate(Frames& frames, bool first_is_exact, const Make& make, Count& count) const;

  std::unique_ptr<KernelSources> sources_;
  std::string image_, release_;
};

}  // namespace ktstr
