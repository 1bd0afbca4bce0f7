// How an image is taken apart: boot header -> payload offset -> compressed stream -> vmlinux ELF -> sections. Where
// the header is of no help the file is searched for stream magics; a magic may be in code by chance, so a
// candidate counts only when it decompresses to something that starts like an ELF.

#include "bpf/kernel_image.h"

#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <gelf.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <memory>

#include "base/decompress.h"
#include "base/text.h"
#include "base/unique_fd.h"

namespace ktstr {
namespace {

constexpr size_t kMaxFile = 2ull << 30;
constexpr size_t kMaxElf = 1ull << 30;
constexpr size_t kMaxBtf = 256u << 20;
constexpr int kMaxCandidates = 64;
constexpr uint8_t kElfMagic[4] = {0x7f, 'E', 'L', 'F'};

// Boot header of Documentation/arch/x86/boot.rst; offsets in the file.
constexpr size_t kSetupSects = 0x1f1, kBootFlag = 0x1fe, kHeaderMagic = 0x202, kProtocol = 0x206,
                 kVersionPointer = 0x20e, kPayloadOffset = 0x248, kPayloadLength = 0x24c, kHeaderEnd = 0x250;

template <typename T>
T load(std::span<const uint8_t> bytes, size_t offset) {
  T value{};
  if (offset <= bytes.size() && bytes.size() - offset >= sizeof(T))
    std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}

bool is_elf(std::span<const uint8_t> bytes) {
  return bytes.size() >= sizeof(kElfMagic) && std::equal(kElfMagic, kElfMagic + 4, bytes.begin());
}

bool has_boot_header(std::span<const uint8_t> bytes) {
  return bytes.size() >= kHeaderEnd && load<uint16_t>(bytes, kBootFlag) == 0xaa55 &&
         std::memcmp(bytes.data() + kHeaderMagic, "HdrS", 4) == 0;
}

std::span<const uint8_t> header_payload(std::span<const uint8_t> image) {
  if (!has_boot_header(image) || load<uint16_t>(image, kProtocol) < 0x0208) return {};
  size_t sectors = image[kSetupSects] == 0 ? 4 : image[kSetupSects];
  size_t start = (sectors + 1) * 512 + load<uint32_t>(image, kPayloadOffset);
  size_t length = load<uint32_t>(image, kPayloadLength);
  if (start >= image.size()) return {};
  return image.subspan(start, std::min(length, image.size() - start));
}

// First word of the version text that the boot header points to.
std::string header_release(std::span<const uint8_t> image) {
  if (!has_boot_header(image)) return "";
  size_t at = load<uint16_t>(image, kVersionPointer) + 0x200u;
  std::string release;
  for (; at < image.size() && release.size() < 128 && image[at] > ' ' && image[at] < 0x7f; ++at) {
    release.push_back(static_cast<char>(image[at]));
  }
  return release;
}

// "Linux version RELEASE (...) ...": the kernel's own banner; a format string with '%' is not it.
std::string find_banner(std::span<const uint8_t> elf) {
  static constexpr std::string_view kStart = "Linux version ";
  std::string_view text(reinterpret_cast<const char*>(elf.data()), elf.size());
  std::boyer_moore_horspool_searcher searcher(kStart.begin(), kStart.end());
  for (auto at = text.begin();;) {
    at = std::search(at, text.end(), searcher);
    if (at == text.end()) return "";
    std::string_view rest = text.substr(at - text.begin(), 1024);
    rest = rest.substr(0, rest.find_first_of(std::string_view("\n\0", 2)));
    bool printable = std::all_of(rest.begin(), rest.end(), [](char c) { return c >= ' ' && c < 0x7f; });
    if (printable && rest.size() > kStart.size() && rest[kStart.size()] >= '0' &&
        rest[kStart.size()] <= '9') {
      return std::string(rest);
    }
    ++at;
  }
}

class ElfHandle {
 public:
  explicit ElfHandle(std::span<const uint8_t> bytes) {
    elf_version(EV_CURRENT);
    if (is_elf(bytes)) {
      // elf_memory takes char* but only reads what it is given.
      elf_ = elf_memory(const_cast<char*>(reinterpret_cast<const char*>(bytes.data())), bytes.size());
    }
  }
  ~ElfHandle() { elf_end(elf_); }
  ElfHandle(const ElfHandle&) = delete;
  Elf* get() const { return elf_; }
  bool is_x86_64() const {
    GElf_Ehdr header;
    return elf_ != nullptr && gelf_getehdr(elf_, &header) != nullptr && header.e_machine == EM_X86_64 &&
           header.e_ident[EI_CLASS] == ELFCLASS64;
  }

 private:
  Elf* elf_ = nullptr;
};

std::string find_build_id(std::span<const uint8_t> bytes) {
  ElfHandle elf(bytes);
  if (elf.get() == nullptr) return "";
  for (Elf_Scn* section = nullptr; (section = elf_nextscn(elf.get(), section)) != nullptr;) {
    GElf_Shdr header;
    if (gelf_getshdr(section, &header) == nullptr || header.sh_type != SHT_NOTE) continue;
    Elf_Data* data = elf_getdata(section, nullptr);
    if (data == nullptr || data->d_buf == nullptr) continue;
    GElf_Nhdr note;
    size_t name, desc;
    for (size_t at = 0; (at = gelf_getnote(data, at, &note, &name, &desc)) > 0;) {
      const auto* base = static_cast<const uint8_t*>(data->d_buf);
      if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && std::memcmp(base + name, "GNU", 4) == 0 &&
          note.n_descsz > 0 && note.n_descsz <= 64) {
        return hex_bytes({base + desc, note.n_descsz});
      }
    }
  }
  return "";
}

bool btf_has_struct(const std::vector<uint8_t>& bytes, const char* name) {
  libbpf_print_fn_t old = libbpf_set_print(nullptr);
  btf* parsed = btf__new(bytes.data(), static_cast<uint32_t>(bytes.size()));
  libbpf_set_print(old);
  if (parsed == nullptr) return false;
  bool found = btf__find_by_name_kind(parsed, name, BTF_KIND_STRUCT) > 0;
  btf__free(parsed);
  return found;
}

// A read-only view of a whole file.
class MappedFile {
 public:
  static Result<std::unique_ptr<MappedFile>> open(const std::string& path) {
    UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!fd) return Error::from_errno("cannot open");
    struct stat st;
    if (fstat(fd.get(), &st) != 0) return Error::from_errno("cannot stat");
    if (S_ISDIR(st.st_mode)) return Error::invalid("is a directory, not a kernel image");
    if (!S_ISREG(st.st_mode)) return Error::invalid("is not a regular file");
    if (st.st_size == 0) return Error::invalid("is empty, not a kernel image");
    auto size = static_cast<size_t>(st.st_size);
    if (size > kMaxFile) return Error::exhausted("is larger than 2 GiB");
    void* base = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd.get(), 0);
    if (base == MAP_FAILED) return Error::from_errno("cannot map");
    return std::unique_ptr<MappedFile>(new MappedFile(base, size));
  }
  ~MappedFile() { munmap(base_, size_); }
  MappedFile(const MappedFile&) = delete;
  std::span<const uint8_t> bytes() const { return {static_cast<const uint8_t*>(base_), size_}; }

 private:
  MappedFile(void* base, size_t size) : base_(base), size_(size) {}
  void* base_;
  size_t size_;
};

}  // namespace

Result<std::vector<uint8_t>> extract_kernel_elf(std::span<const uint8_t> image) {
  if (is_elf(image)) return std::vector<uint8_t>(image.begin(), image.end());
  std::string first_problem;
  auto payload = header_payload(image);
  if (stream_kind(payload) != StreamKind::kNone) {
    auto elf = decompress_stream(payload, kElfMagic, kMaxElf);
    if (elf) return elf;
    first_problem = elf.error().message();
  }
  int tried = 0;
  for (size_t at = 0; at + 6 < image.size() && tried < kMaxCandidates; ++at) {
    if (image[at] != 0x28 && image[at] != 0xfd && image[at] != 0x1f) continue;
    if (stream_kind(image.subspan(at)) == StreamKind::kNone) continue;
    ++tried;
    auto elf = decompress_stream(image.subspan(at), kElfMagic, kMaxElf);
    if (elf) return elf;
    if (first_problem.empty() && elf.error().message() != "the stream holds something else") {
      first_problem = elf.error().message();
    }
  }
  if (has_boot_header(image)) {
    return Error::invalid("no vmlinux in its payload (" +
                          (first_problem.empty() ? "not zstd, xz or gzip, or cut short" : first_problem) +
                          ")");
  }
  return Error::invalid("is not an x86-64 Linux kernel image (no boot header, no ELF)");
}

Result<std::span<const uint8_t>> find_elf_section(std::span<const uint8_t> bytes, const char* name) {
  ElfHandle elf(bytes);
  size_t names = 0;
  if (elf.get() == nullptr || elf_getshdrstrndx(elf.get(), &names) != 0) return Error::invalid("damaged ELF");
  for (Elf_Scn* section = nullptr; (section = elf_nextscn(elf.get(), section)) != nullptr;) {
    GElf_Shdr header;
    if (gelf_getshdr(section, &header) == nullptr) continue;
    const char* found = elf_strptr(elf.get(), names, header.sh_name);
    if (found == nullptr || std::strcmp(found, name) != 0 || header.sh_type == SHT_NOBITS) continue;
    if (header.sh_offset > bytes.size() || header.sh_size > bytes.size() - header.sh_offset) {
      return Error::invalid(std::string("section ") + name + " lies outside the file");
    }
    return bytes.subspan(header.sh_offset, header.sh_size);
  }
  return Error::not_found(std::string("no section ") + name);
}

Result<KernelImage> read_kernel_image(const std::string& path) {
  auto file = MappedFile::open(path);
  if (!file) return std::move(file).error().within("kernel " + path);
  auto bytes = (*file)->bytes();

  std::vector<uint8_t> unpacked;
  std::span<const uint8_t> elf = bytes;
  if (!is_elf(bytes)) {
    auto extracted = extract_kernel_elf(bytes);
    if (!extracted) return std::move(extracted).error().within("kernel " + path);
    unpacked = std::move(*extracted);
    elf = unpacked;
  }
  if (!ElfHandle(elf).is_x86_64())
    return Error::invalid("kernel " + path + ": is an ELF, but not for x86-64");

  KernelImage image;
  image.path = path;
  image.bzimage = has_boot_header(bytes);
  image.banner = find_banner(elf);
  image.release = header_release(bytes);
  if (image.release.empty() && !image.banner.empty()) {
    image.release = image.banner.substr(14, image.banner.find(' ', 14) - 14);
  }
  if (image.release.empty())
    return Error::invalid("kernel " + path + ": has no Linux version banner; not a kernel?");
  image.build_id = find_build_id(elf);
  auto btf = find_elf_section(elf, ".BTF");
  if (btf && btf->size() <= kMaxBtf) {
    image.btf.assign(btf->begin(), btf->end());
    image.sched_ext = btf_has_struct(image.btf, "sched_ext_ops");
  }
  return image;
}

Status check_kernel_usable(const KernelImage& image) {
  std::string who = "kernel " + image.path + " (" + image.release + ")";
  if (image.btf.empty()) {
    return Error::unsupported(who + " has no BTF: it was built without CONFIG_DEBUG_INFO_BTF=y")
        .with_hint(
            "take one that has it: `ktstr-launch kernel fetch`, or rebuild with CONFIG_DEBUG_INFO_BTF=y");
  }
  if (!image.sched_ext) {
    return Error::unsupported(who + " has no sched_ext: it was built without CONFIG_SCHED_CLASS_EXT=y")
        .with_hint(
            "take one that has it (Linux 6.12 or newer): `ktstr-launch kernel fetch`, or rebuild with "
            "CONFIG_SCHED_CLASS_EXT=y");
  }
  return {};
}

}  // namespace ktstr
