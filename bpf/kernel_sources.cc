#include "bpf/kernel_sources.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>

#include <cstdlib>
#include <cstring>
#include <string_view>
#include <unordered_map>

namespace ktstr {
namespace {

struct EndDwfl {
  void operator()(Dwfl* d) const { dwfl_end(d); }
};

class DwarfSources : public KernelSources {
 public:
  DwarfSources(std::unique_ptr<Dwfl, EndDwfl> dwfl, Dwfl_Module* module)
      : dwfl_(std::move(dwfl)), module_(module) {
    const int n = dwfl_module_getsymtab(module_);
    for (int i = 0; i < n; ++i) {
      GElf_Sym symbol;
      GElf_Addr address = 0;
      const char* name = dwfl_module_getsym_info(module_, i, &symbol, &address, nullptr, nullptr, nullptr);
      if (name && GELF_ST_TYPE(symbol.st_info) == STT_FUNC)
        functions_.emplace(name, Function{address, symbol.st_size});
    }
  }

  SourcePlace place_of(const std::string& function, uint32_t offset, uint32_t size) override {
    SourcePlace place;
    const Function* found = find(function, size);
    if (!found) return place;
    const GElf_Addr pc = found->address + (offset ? offset - 1 : 0);  // a return address is after the call
    Dwfl_Line* line = dwfl_module_getsrc(module_, pc);
    int number = 0;
    const char* file = line ? dwfl_lineinfo(line, nullptr, &number, nullptr, nullptr, nullptr) : nullptr;
    if (!file) return place;
    const char* build = dwfl_line_comp_dir(line);
    build_ = build ? build : "";
    place.line = tidy_source_path(file, build_) + ":" + std::to_string(number);
    if (offset) add_inlined(pc, &place);
    return place;
  }

  SymbolMatch match(const std::string& function, uint32_t size) const override {
    const Function* found = find(function, size);
    if (!found) return SymbolMatch::kNone;
    // kallsyms knows no sizes: a trace's size reaches to the next symbol, padding included.
    return size == 0 || (found->size <= size && size - found->size < kMaxPadding) ? SymbolMatch::kSame
                                                                                  : SymbolMatch::kOtherSize;
  }

  std::string release() const override {
    GElf_Addr bias = 0;
    Elf* elf = dwfl_module_getelf(module_, &bias);
    constexpr std::string_view kBanner = "Linux version ";
    for (Elf_Scn* section = nullptr; elf && (section = elf_nextscn(elf, section));) {
      GElf_Shdr header;
      if (!gelf_getshdr(section, &header) || header.sh_type == SHT_NOBITS || !(header.sh_flags & SHF_ALLOC) ||
          header.sh_flags & SHF_EXECINSTR || header.sh_size > kMaxSection)
        continue;
      const Elf_Data* data = elf_rawdata(section, nullptr);
      if (!data || !data->d_buf) continue;
      const std::string_view bytes(static_cast<const char*>(data->d_buf), data->d_size);
      for (size_t at = bytes.find(kBanner); at != bytes.npos; at = bytes.find(kBanner, at + 1)) {
        const std::string_view rest = bytes.substr(at + kBanner.size(), 128);
        // "Linux version %s (%s)" is a format of the kernel's own.
        if (!rest.empty() && rest.front() >= '0' && rest.front() <= '9')
          return std::string(rest.substr(0, rest.find(' ')));
      }
    }
    return {};
  }

  bool has_lines() const override {
    Dwarf_Addr bias = 0;
    Dwarf* dwarf = dwfl_module_getdwarf(module_, &bias);
    Dwarf_Off next = 0;
    size_t header = 0;
    return dwarf && dwarf_nextcu(dwarf, 0, &next, &header, nullptr, nullptr, nullptr) == 0;
  }

 private:
  struct Function {
    GElf_Addr address;
    uint64_t size;
  };
  static constexpr uint64_t kMaxPadding = 256;  // what may lie between two functions
  static constexpr uint64_t kMaxSection = 1u << 30;

  // Several files may have a static function of one name: the one of this size.
  const Function* find(const std::string& name, uint32_t size) const {
    const auto [begin, end] = functions_.equal_range(name);
    const Function* best = nullptr;
    for (auto it = begin; it != end; ++it) {
      const bool fits = it->second.size <= size && size - it->second.size < kMaxPadding;
      if (!best || (size && fits)) best = &it->second;
    }
    return best;
  }

  // Walks out of the inlined functions around `pc`: each knows where it was called.
  void add_inlined(GElf_Addr pc, SourcePlace* place) {
    Dwarf_Addr bias = 0;
    Dwarf_Die* unit = dwfl_module_addrdie(module_, pc, &bias);
    Dwarf_Die* found = nullptr;
    const int n = unit ? dwarf_getscopes(unit, pc - bias, &found) : 0;
    std::unique_ptr<Dwarf_Die, decltype(&std::free)> innermost(found, &std::free);
    if (n <= 0) return;
    Dwarf_Die* physical = nullptr;
    const int depth = dwarf_getscopes_die(innermost.get(), &physical);
    std::unique_ptr<Dwarf_Die, decltype(&std::free)> scopes(physical, &std::free);
    for (int i = 0; i < depth && dwarf_tag(&physical[i]) != DW_TAG_subprogram; ++i) {
      if (dwarf_tag(&physical[i]) != DW_TAG_inlined_subroutine) continue;
      const char* name = dwarf_diename(&physical[i]);
      place->inlined.push_back({name ? name : "?", place->line});
      place->line = call_line(unit, &physical[i]);
    }
  }

  std::string call_line(Dwarf_Die* unit, Dwarf_Die* inlined) const {
    Dwarf_Attribute attribute;
    Dwarf_Word file = 0, line = 0;
    Dwarf_Files* files = nullptr;
    size_t count = 0;
    if (dwarf_formudata(dwarf_attr(inlined, DW_AT_call_file, &attribute), &file) != 0 ||
        dwarf_formudata(dwarf_attr(inlined, DW_AT_call_line, &attribute), &line) != 0 ||
        dwarf_getsrcfiles(unit, &files, &count) != 0 || file >= count)
      return {};
    const char* path = dwarf_filesrc(files, file, nullptr, nullptr);
    return path ? tidy_source_path(path, build_) + ":" + std::to_string(line) : "";
  }

  std::unique_ptr<Dwfl, EndDwfl> dwfl_;
  Dwfl_Module* module_;
  std::string build_;  // of the line looked at last
  std::unordered_multimap<std::string, Function> functions_;
};

}  // namespace

std::string tidy_source_path(const std::string& path, const std::string& build_dir) {
  std::string p = path;
  if (!build_dir.empty() && p.starts_with(build_dir)) p.erase(0, build_dir.size());
  // a/../b is b.
  for (size_t up = p.find("/../"); up != std::string::npos; up = p.find("/../")) {
    const size_t before = up == 0 ? std::string::npos : p.rfind('/', up - 1);
    const size_t start = before == std::string::npos ? 0 : before + 1;
    p.erase(start, up + 4 - start);
  }
  while (p.starts_with("./") || p.starts_with("../")) p.erase(0, p.find('/') + 1);
  if (p.starts_with("/")) {
    size_t cut = std::string::npos;
    for (const char* top : {"/kernel/", "/arch/", "/block/", "/drivers/", "/fs/", "/include/", "/init/",
                            "/io_uring/", "/ipc/", "/lib/", "/mm/", "/net/", "/security/", "/virt/"})
      cut = std::min(cut, p.find(top));
    p.erase(0, cut == std::string::npos ? 1 : cut + 1);
  }
  return p;
}

Result<std::unique_ptr<KernelSources>> KernelSources::open(const std::string& vmlinux) {
  static const Dwfl_Callbacks kCallbacks = {
      [](Dwfl_Module*, void**, const char*, Dwarf_Addr, char**, Elf**) { return -1; },
      [](Dwfl_Module*, void**, const char*, Dwarf_Addr, const char*, const char*, GElf_Word, char**) {
        return -1;
      },
      dwfl_offline_section_address, nullptr};
  std::unique_ptr<Dwfl, EndDwfl> dwfl(dwfl_begin(&kCallbacks));
  auto fail = [&] {
    const char* why = dwfl_errmsg(-1);  // a second call has forgotten it
    return Error::invalid(vmlinux + ": " + (why ? why : "not readable"));
  };
  if (!dwfl) return fail();
  dwfl_report_begin(dwfl.get());
  Dwfl_Module* module = dwfl_report_offline(dwfl.get(), "vmlinux", vmlinux.c_str(), -1);
  dwfl_report_end(dwfl.get(), nullptr, nullptr);
  if (!module) return fail();
  return std::unique_ptr<KernelSources>(std::make_unique<DwarfSources>(std::move(dwfl), module));
}

}  // namespace ktstr
