#include "guest/init/core_unwind.h"

#include <cxxabi.h>
#include <elfutils/libdwfl.h>

#include <cstdio>
#include <cstdlib>
#include <memory>

namespace ktstr::guest {
namespace {

constexpr size_t kMaxFrames = 64;

struct Walk {
  Dwfl* dwfl;
  std::vector<std::string> frames;
};

std::string base_name(const char* path) {
  const std::string text = path ? path : "";
  return text.substr(text.rfind('/') + 1);
}

std::string symbol_name(const char* mangled) {
  int status = 0;
  std::unique_ptr<char, decltype(&std::free)> clear(abi::__cxa_demangle(mangled, nullptr, nullptr, &status),
                                                    &std::free);
  return status == 0 && clear ? clear.get() : mangled;
}

std::string describe(Dwfl* dwfl, Dwarf_Addr pc, bool exact) {
  // A caller's pc is a return address: the call is before it.
  const Dwarf_Addr at = exact ? pc : pc - 1;
  char number[64];
  Dwfl_Module* module = dwfl_addrmodule(dwfl, at);
  if (!module) {
    std::snprintf(number, sizeof(number), "0x%llx", static_cast<unsigned long long>(pc));
    return number;
  }
  const char* file = dwfl_module_info(module, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr);
  GElf_Off offset = 0;
  GElf_Sym symbol;
  const char* name = dwfl_module_addrinfo(module, at, &offset, &symbol, nullptr, nullptr, nullptr);
  std::string text = name ? symbol_name(name) : "?";
  if (name) {
    std::snprintf(number, sizeof(number), "+0x%llx",
                  static_cast<unsigned long long>(offset) + (exact ? 0 : 1));
    text += number;
  }
  if (Dwfl_Line* line = dwfl_module_getsrc(module, at)) {
    int line_number = 0;
    const char* source = dwfl_lineinfo(line, nullptr, &line_number, nullptr, nullptr, nullptr);
    if (source) text += " " + base_name(source) + ":" + std::to_string(line_number);
  }
  return text + " (" + base_name(file) + ")";
}

int on_frame(Dwfl_Frame* frame, void* data) {
  auto* walk = static_cast<Walk*>(data);
  Dwarf_Addr pc = 0;
  bool activation = false;
  if (!dwfl_frame_pc(frame, &pc, &activation) || walk->frames.size() >= kMaxFrames) return DWARF_CB_ABORT;
  walk->frames.push_back(describe(walk->dwfl, pc, activation || walk->frames.empty()));
  return DWARF_CB_OK;
}

// The kernel writes the thread that died first.
int on_first_thread(Dwfl_Thread* thread, void* data) {
  dwfl_thread_getframes(thread, on_frame, data);
  return DWARF_CB_ABORT;
}

}  // namespace

std::vector<std::string> unwind_core(int core_fd) {
  elf_version(EV_CURRENT);
  static char* debuginfo_path = nullptr;
  Dwfl_Callbacks callbacks{};
  callbacks.find_elf = dwfl_build_id_find_elf;
  callbacks.find_debuginfo = dwfl_standard_find_debuginfo;
  callbacks.debuginfo_path = &debuginfo_path;
  std::unique_ptr<Dwfl, decltype(&dwfl_end)> dwfl(dwfl_begin(&callbacks), &dwfl_end);
  std::unique_ptr<Elf, decltype(&elf_end)> elf(elf_begin(core_fd, ELF_C_READ_MMAP, nullptr), &elf_end);
  if (!dwfl || !elf) return {};
  dwfl_report_begin(dwfl.get());
  if (dwfl_core_file_report(dwfl.get(), elf.get(), nullptr) < 0) return {};
  dwfl_report_end(dwfl.get(), nullptr, nullptr);
  if (dwfl_core_file_attach(dwfl.get(), elf.get()) < 0) return {};
  Walk walk{dwfl.get(), {}};
  dwfl_getthreads(dwfl.get(), on_first_thread, &walk);
  return std::move(walk.frames);
}

}  // namespace ktstr::guest
