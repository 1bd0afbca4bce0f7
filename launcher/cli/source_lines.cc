#include "launcher/cli/source_lines.h"

#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>
#include <utility>

#include "base/numbers.h"
#include "launcher/kernel/kernel_resolve.h"
#include "scx/trace_frame.h"

namespace ktstr {
namespace {

constexpr size_t kMaxInlined = 16;  // of one frame

Result<std::string> debuginfo_of(const std::string& kernel) {
  std::error_code none;
  // A built tree or an ELF of any architecture; resolve_kernel() wants an image that a VM can boot.
  const std::filesystem::path path(kernel);
  if (std::filesystem::is_directory(path, none) && std::filesystem::exists(path / "vmlinux", none))
    return (path / "vmlinux").string();
  if (path.filename() == "vmlinux" && std::filesystem::is_regular_file(path, none)) return kernel;
  auto dir = KernelCache::default_dir([](const char* name) { return std::getenv(name); });
  if (!dir) return std::move(dir).error();
  auto resolved = resolve_kernel(KernelCache(*dir), {.flag = kernel, .environment = ""});
  if (!resolved) return std::move(resolved).error();
  if (resolved->info.debuginfo.empty())
    return Error::not_found("kernel " + resolved->info.release + " has no debug info here")
        .with_hint("ktstr-launch kernel fetch " + resolved->info.release +
                   " --debuginfo, or explain --debuginfo FILE");
  return resolved->info.debuginfo;
}

void set_place(const std::string& text, ChainFrameT& frame) {
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos) return;
  frame.file = text.substr(0, colon);
  frame.line = parse_number<uint32_t>(std::string_view(text).substr(colon + 1)).value_or(0);
}

const ChainFrameT& frame_of(const ChainFrameT& frame) { return frame; }
ChainFrameT& frame_of(std::unique_ptr<ChainFrameT>& frame) { return *frame; }

}  // namespace

SourceLines::SourceLines(std::unique_ptr<KernelSources> sources, std::string image)
    : sources_(std::move(sources)), image_(std::move(image)), release_(sources_->release()) {}

Result<std::unique_ptr<SourceLines>> SourceLines::open(const std::string& kernel,
                                                       const std::string& debuginfo) {
  std::string path = debuginfo;
  if (path.empty()) {
    auto found = debuginfo_of(kernel);
    if (!found) return std::move(found).error();
    path = std::move(*found);
  }
  auto sources = KernelSources::open(path);
  if (!sources) return std::move(sources).error();
  if (!(*sources)->has_lines())
    return Error::invalid(path + ": has no DWARF (CONFIG_DEBUG_INFO)")
        .with_hint("give a vmlinux, or the vmlinux.debug of the distribution's debug package");
  return std::make_unique<SourceLines>(std::move(*sources), path.substr(path.rfind('/') + 1));
}

template <typename Make, typename Frames>
void SourceLines::annotate(Frames& frames, bool first_is_exact, const Make& make, Count& count) const {
  Frames out;
  for (size_t i = 0; i < frames.size(); ++i) {
    ChainFrameT frame = frame_of(frames[i]);
    // What a decoder did before is not done again; an address without a function, a module, a BPF program.
    const bool module =
        frame.raw.find(" [") != std::string::npos && frame.raw.find("[inline]") == std::string::npos;
    if (!frame.file.empty() || frame.size == 0 || !frame.tag.empty() || frame.inlined || module) {
      out.push_back(std::move(frames[i]));
      continue;
    }
    ++count.frames;
    const SymbolMatch match = sources_->match(frame.function, frame.size);
    count.unknown += match == SymbolMatch::kNone;
    count.other_size += match == SymbolMatch::kOtherSize;
    if (match != SymbolMatch::kSame || frame.offset >= frame.size) {
      out.push_back(std::move(frames[i]));
      continue;
    }
    // A register tells where the CPU was; the frames above, where it would return.
    const uint32_t offset = frame.offset + (i == 0 && first_is_exact ? 1 : 0);
    const SourcePlace place = sources_->place_of(frame.function, offset, frame.size);
    for (size_t k = 0; k < place.inlined.size() && k < kMaxInlined && out.size() < kMaxFrames; ++k) {
      ChainFrameT inner;
      inner.function = place.inlined[k].function;
      inner.raw = inner.function;
      inner.uncertain = frame.uncertain;
      inner.inlined = true;
      set_place(place.inlined[k].line, inner);
      out.push_back(make(std::move(inner)));
    }
    set_place(place.line, frame);
    count.lines += !frame.file.empty();
    if (out.size() < kMaxFrames) out.push_back(make(std::move(frame)));
  }
  frames = std::move(out);
}

std::vector<std::string> SourceLines::annotate(Incident& incident) const {
  std::vector<std::string> said;
  const std::string& kernel = !incident.fault.kernel.empty() ? incident.fault.kernel : incident.kernel;
  if (!kernel.empty() && !release_.empty() && kernel != release_) {
    said.push_back(fmt::format("source lines: {} is of kernel {}, the text of {}", image_, release_, kernel));
    return said;
  }
  Count count;
  const auto value = [](ChainFrameT frame) { return frame; };
  const auto pointer = [](ChainFrameT frame) { return std::make_unique<ChainFrameT>(std::move(frame)); };
  annotate(incident.exit.backtrace, false, value, count);
  for (KernelFaultT* fault : {&incident.fault, incident.interrupted ? &*incident.interrupted : nullptr}) {
    if (!fault) continue;
    const bool registers = !fault->backtrace.empty() &&
                           fault->backtrace.front()->function == fault->function &&
                           (fault->kind == FaultKind::Oops || fault->kind == FaultKind::KernelBug ||
                            fault->kind == FaultKind::Warning || fault->kind == FaultKind::SoftLockup ||
                            fault->kind == FaultKind::HardLockup || fault->kind == FaultKind::RcuStall);
    annotate(fault->backtrace, registers, pointer, count);
    for (auto& task : fault->tasks) annotate(task->backtrace, false, pointer, count);
  }
  if (count.frames == 0) return said;
  if (kernel.empty() || release_.empty())
    said.push_back(
        fmt::format("source lines: {} does not tell its kernel's release: lines of {} stand where name and "
                    "size of a function fit",
                    kernel.empty() ? "the text" : image_, image_));
  if (count.other_size + count.unknown > 0)
    said.push_back(fmt::format(
        "source lines: {} of {} functions {} in {}: they have no line", count.other_size + count.unknown,
        count.frames, count.other_size == 0 ? "are not" : "are not, or have another size (another build),",
        image_));
  return said;
}

}  // namespace ktstr
