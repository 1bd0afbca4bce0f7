#include "reproer/kernel_sources.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>

#include <cstdlib>
#include <cstring>
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
      if (name && GELF_ST_TYPE(symbol.st_info) == STT_FUNC) addresses_.emplace(name, address);
    }
  }

  SourcePlace place_of(const std::string& function, uint32_t offset) override {
    SourcePlace place;
    auto it = addresses_.find(function);
    if (it == addresses_.end()) return place;
    const GElf_Addr pc = it->second + (offset ? offset - 1 : 0);  // a return address is after the call
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

 private:
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
  std::unordered_map<std::string, GElf_Addr> addresses_;
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
    return Error::invalid(vmlinux + ": " + (dwfl_errmsg(-1) ? dwfl_errmsg(-1) : "not readable"));
  };
  if (!dwfl) return fail();
  dwfl_report_begin(dwfl.get());
  Dwfl_Module* module = dwfl_report_offline(dwfl.get(), "vmlinux", vmlinux.c_str(), -1);
  dwfl_report_end(dwfl.get(), nullptr, nullptr);
  if (!module) return fail();
  return std::unique_ptr<KernelSources>(std::make_unique<DwarfSources>(std::move(dwfl), module));
}

}  // namespace ktstr
