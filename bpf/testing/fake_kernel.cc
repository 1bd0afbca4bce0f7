#include "bpf/testing/fake_kernel.h"

#include <bpf/btf.h>
#include <elf.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

namespace ktstr {
namespace {

using Bytes = std::vector<uint8_t>;

// As a kernel with implicit arguments of kfuncs has it: `kfunc` beside its `kfunc`_impl; damaged, with the argument and alone.
void add_kfunc(btf* types, const char* name, bool damaged) {
  const int number = btf__find_by_name(types, "int");
  const int aux = btf__add_ptr(types, btf__add_struct(types, "bpf_prog_aux", 4));
  const auto function = [&](const std::string& of, bool argument) {
    const int prototype = btf__add_func_proto(types, 0);
    btf__add_func_param(types, "cpu", number);
    if (argument) btf__add_func_param(types, "aux", aux);
    return btf__add_func(types, of.c_str(), BTF_FUNC_STATIC, prototype);
  };
  const int sound = function("scx_bpf_nr_cpu_ids", false);
  btf__add_decl_tag(types, "bpf_kfunc", sound, -1);
  const int kfunc = function(name, damaged);
  if (damaged) return;
  btf__add_decl_tag(types, "bpf_kfunc", kfunc, -1);
  function(std::string(name) + "_impl", true);
}

Bytes make_btf(bool sched_ext, bool damaged) {
  btf* types = btf__new_empty();
  int id = btf__add_int(types, "int", 4, BTF_INT_SIGNED);
  btf__add_struct(types, "task_struct", 4);
  btf__add_field(types, "pid", id, 0, 0);
  if (sched_ext) {
    btf__add_struct(types, "sched_ext_ops", 4);
    btf__add_field(types, "flags", id, 0, 0);
  } else {
    btf__add_fwd(types, "sched_ext_ops", BTF_FWD_STRUCT);  // a name alone must not pass for the real thing
  }
  add_kfunc(types, "scx_bpf_kick_cpu", damaged);
  uint32_t size = 0;
  const auto* raw = static_cast<const uint8_t*>(btf__raw_data(types, &size));
  Bytes bytes(raw, raw + size);
  btf__free(types);
  return bytes;
}

template <typename T>
void append(Bytes* out, const T& value) {
  const size_t at = out->size();
  out->resize(at + sizeof(T));
  std::memcpy(out->data() + at, &value, sizeof(T));
}

Bytes make_note(const std::string& hex) {
  Bytes note;
  append(&note, Elf64_Nhdr{4, static_cast<Elf64_Word>(hex.size() / 2), NT_GNU_BUILD_ID});
  append(&note, std::array<char, 4>{'G', 'N', 'U', 0});
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    note.push_back(static_cast<uint8_t>(std::stoul(hex.substr(i, 2), nullptr, 16)));
  }
  return note;
}

Bytes pack(const Bytes& in, FakePacking packing) {
  Bytes out;
  if (packing == FakePacking::kZstd) {
    out.resize(ZSTD_compressBound(in.size()));
    out.resize(ZSTD_compress(out.data(), out.size(), in.data(), in.size(), 3));
  } else if (packing == FakePacking::kXz) {
    out.resize(lzma_stream_buffer_bound(in.size()));
    size_t used = 0;
    (void)lzma_easy_buffer_encode(3, LZMA_CHECK_CRC32, nullptr, in.data(), in.size(), out.data(), &used,
                                  out.size());
    out.resize(used);
  } else {
    z_stream stream{};
    deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
    out.resize(deflateBound(&stream, in.size()));
    stream.next_in = const_cast<Bytef*>(in.data());
    stream.avail_in = static_cast<uInt>(in.size());
    stream.next_out = out.data();
    stream.avail_out = static_cast<uInt>(out.size());
    deflate(&stream, Z_FINISH);
    out.resize(stream.total_out);
    deflateEnd(&stream);
  }
  return out;
}

}  // namespace

std::vector<uint8_t> fake_vmlinux(const FakeKernel& kernel) {
  struct Section {
    const char* name;
    uint32_t type;
    Bytes data;
  };
  std::string banner = "Linux version %s (%s)\n";
  banner.push_back('\0');
  banner += "Linux version " + kernel.release + " (tester@nowhere) #1 SMP\n";
  banner.push_back('\0');
  std::vector<Section> sections = {{"", SHT_NULL, {}},
                                   {".rodata", SHT_PROGBITS, Bytes(banner.begin(), banner.end())}};
  if (kernel.btf)
    sections.push_back({".BTF", SHT_PROGBITS, make_btf(kernel.sched_ext, kernel.damaged_kfuncs)});
  if (!kernel.build_id.empty()) sections.push_back({".notes", SHT_NOTE, make_note(kernel.build_id)});
  sections.push_back({".shstrtab", SHT_STRTAB, {}});

  std::string names;
  std::vector<Elf64_Shdr> headers;
  for (const auto& s : sections) {
    Elf64_Shdr header{};
    header.sh_name = static_cast<Elf64_Word>(names.size());
    header.sh_type = s.type;
    header.sh_addralign = 4;
    headers.push_back(header);
    names += s.name;
    names.push_back('\0');
  }
  sections.back().data.assign(names.begin(), names.end());

  Bytes elf(sizeof(Elf64_Ehdr));
  for (size_t i = 1; i < sections.size(); ++i) {
    elf.resize((elf.size() + 7) & ~size_t{7});
    headers[i].sh_offset = elf.size();
    headers[i].sh_size = sections[i].data.size();
    elf.insert(elf.end(), sections[i].data.begin(), sections[i].data.end());
  }
  elf.resize((elf.size() + 7) & ~size_t{7});
  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_ident[EI_VERSION] = EV_CURRENT;
  header.e_type = ET_EXEC;
  header.e_machine = kernel.machine;
  header.e_version = EV_CURRENT;
  header.e_ehsize = sizeof(Elf64_Ehdr);
  header.e_shoff = elf.size();
  header.e_shentsize = sizeof(Elf64_Shdr);
  header.e_shnum = static_cast<Elf64_Half>(headers.size());
  header.e_shstrndx = static_cast<Elf64_Half>(headers.size() - 1);
  for (const auto& h : headers) append(&elf, h);
  std::memcpy(elf.data(), &header, sizeof(header));
  return elf;
}

std::vector<uint8_t> fake_bzimage(const FakeKernel& kernel, const std::vector<uint8_t>& payload,
                                  FakePacking packing, bool header_fields) {
  constexpr size_t kSetup = 5 * 512, kCode = 1000;
  Bytes packed = pack(payload, packing);
  Bytes image(kSetup + kCode, 0x90);
  image[kSetup + 10] = 0x1f;  // a gzip magic by chance, in code
  image[kSetup + 11] = 0x8b;
  image[kSetup + 12] = 0x08;
  auto put = [&](size_t at, const void* data, size_t size) { std::memcpy(image.data() + at, data, size); };
  image[0x1f1] = 4;
  uint16_t flag = 0xaa55, protocol = 0x020f, version_at = 0x300;
  put(0x1fe, &flag, 2);
  put(0x202, "HdrS", 4);
  put(0x206, &protocol, 2);
  put(0x20e, &version_at, 2);
  std::string version = kernel.release + " (tester@nowhere) #1";
  put(0x500, version.c_str(), version.size() + 1);
  uint32_t offset = header_fields ? kCode : 0xfffffff0, length = static_cast<uint32_t>(packed.size() + 4);
  put(0x248, &offset, 4);
  put(0x24c, &length, 4);
  image.insert(image.end(), packed.begin(), packed.end());
  append(&image, static_cast<uint32_t>(payload.size()));
  image.resize(image.size() + 64);
  return image;
}

std::vector<uint8_t> fake_vmlinuz(const FakeKernel& kernel) {
  return fake_bzimage(kernel, fake_vmlinux(kernel), FakePacking::kZstd);
}

void write_test_file(const std::string& path, const void* data, size_t size) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path, std::ios::binary)
      .write(static_cast<const char*>(data), static_cast<std::streamsize>(size));
}

TestDir::TestDir() {
  std::string pattern = (std::filesystem::temp_directory_path() / "ktstr-test-XXXXXX").string();
  path_ = mkdtemp(pattern.data());
}
TestDir::~TestDir() {
  std::error_code ec;
  std::filesystem::remove_all(path_, ec);
}

}  // namespace ktstr
