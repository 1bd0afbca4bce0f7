// Makers of crashes, programs and hits for this folder's tests.
#pragma once

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "schemas/crash_generated.h"
#include "schemas/guest_generated.h"

namespace ktstr {

inline void add_frame(CrashDetectedT* crash, const char* function, const char* tag = "",
                      uint32_t offset = 0x40) {
  auto f = std::make_unique<ChainFrameT>();
  f->function = function;
  f->tag = tag;
  f->offset = offset;
  crash->backtrace.push_back(std::move(f));
}

// demo_charge < demo_place < demo_enqueue < do_enqueue_task, as the kernel prints it.
inline CrashDetectedT demo_crash() {
  CrashDetectedT c;
  c.exit_kind = 0x401;
  c.reason = "scx_bpf_error";
  c.message = "demo: spent";
  c.task_pid = 131;
  add_frame(&c, "scx_bpf_error_bstr");
  add_frame(&c, "x_place", "6fb316157b404777");
  add_frame(&c, "x_enqueue", "fb794ccf58285a18");
  add_frame(&c, "bpf__sched_ext_ops_enqueue");
  add_frame(&c, "do_enqueue_task");
  add_frame(&c, "asm_sysvec_apic_timer_interrupt");
  return c;
}

inline BpfProgramT program(const char* member, std::vector<const char*> functions) {
  BpfProgramT p;
  p.id = 7;
  p.btf_id = 23;
  p.name = functions[0];
  p.tag = "fb794ccf58285a18";
  p.member = member;
  uint64_t address = 0xffffffffc0000000;
  for (const char* name : functions) {
    auto f = std::make_unique<BpfFunctionT>();
    f->name = name;
    f->address = address;
    f->size = 0x100;
    auto l = std::make_unique<LineInfoT>();
    l->jited_addr = address;
    l->file = "x.bpf.c";
    l->line = 10 + static_cast<uint32_t>(p.lines.size());
    l->text = "source of " + std::string(name);
    l->function = name;
    p.lines.push_back(std::move(l));
    p.functions.push_back(std::move(f));
    address += 0x200;
  }
  return p;
}

template <typename T>
std::vector<uint8_t> bytes_of(T value) {
  std::vector<uint8_t> out(sizeof(value));
  std::memcpy(out.data(), &value, sizeof(value));
  return out;
}

}  // namespace ktstr
