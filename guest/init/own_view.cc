#include "guest/init/own_view.h"

#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>

#include "base/clock.h"
#include "base/small_files.h"
#include "base/text.h"
#include "base/unique_fd.h"
#include "schemas/guest_generated.h"
#include "schemas/monitor_generated.h"

namespace ktstr::guest {
namespace {

constexpr size_t kMaxFile = 1u << 20;
constexpr uint32_t kMaxPrograms = 4096;  // of the guest, looked at

int bpf(bpf_cmd command, bpf_attr& attr) {
  return static_cast<int>(::syscall(SYS_bpf, command, &attr, sizeof attr));
}

std::unique_ptr<ProgramSampleT> program(uint32_t id) {
  bpf_attr attr{};
  attr.prog_id = id;
  const UniqueFd fd(bpf(BPF_PROG_GET_FD_BY_ID, attr));
  if (!fd) return nullptr;
  bpf_prog_info info{};
  attr = {};
  attr.info.bpf_fd = static_cast<uint32_t>(fd.get());
  attr.info.info_len = sizeof info;
  attr.info.info = reinterpret_cast<uint64_t>(&info);
  if (bpf(BPF_OBJ_GET_INFO_BY_FD, attr) != 0 || info.type != BPF_PROG_TYPE_STRUCT_OPS) return nullptr;
  auto out = std::make_unique<ProgramSampleT>();
  out->id = info.id;
  out->name = std::string(info.name, ::strnlen(info.name, sizeof info.name));
  out->tag = hex_bytes({info.tag, sizeof info.tag});
  out->verified_insns = info.verified_insns;
  out->insns = info.xlated_prog_len / static_cast<uint32_t>(sizeof(bpf_insn));
  out->jited_bytes = info.jited_prog_len;
  out->run_count = info.run_cnt;
  out->run_ns = info.run_time_ns;
  out->misses = info.recursion_misses;
  return out;
}

}  // namespace

GuestViewT take_own_view() {
  GuestViewT view;
  view.guest_ns = now_ns();
  for (const char* path : {"/sys/kernel/sched_ext/root/events", "/proc/schedstat"}) {
    auto text = read_text(path, kMaxFile);
    if (!text) continue;
    auto file = std::make_unique<GuestFileT>();
    file->path = path;
    file->text = std::move(*text);
    view.files.push_back(std::move(file));
  }
  bpf_attr attr{};
  for (uint32_t i = 0; i < kMaxPrograms && bpf(BPF_PROG_GET_NEXT_ID, attr) == 0; ++i) {
    const uint32_t id = attr.next_id;
    if (auto one = program(id)) view.programs.push_back(std::move(one));
    attr = {};
    attr.start_id = id;
  }
  return view;
}

}  // namespace ktstr::guest
