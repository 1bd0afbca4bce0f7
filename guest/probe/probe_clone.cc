#include "guest/probe/probe_clone.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <vector>

#include "guest/probe/bpf_options.h"

namespace ktstr::probe {
namespace {

// The kernel says where functions are in the rewritten program; the clone needs their places in the
// original one. Those but the first are callbacks, referred to by a load of their relative address.
void place_functions(const bpf_insn* insns, size_t count, bpf_func_info* functions, uint32_t n) {
  std::vector<uint32_t> starts{0};
  for (size_t i = 0; i + 1 < count; ++i) {
    if (insns[i].code != (BPF_LD | BPF_IMM | BPF_DW)) continue;
    if (insns[i].src_reg == BPF_PSEUDO_FUNC)
      starts.push_back(static_cast<uint32_t>(static_cast<int64_t>(i) + insns[i].imm + 1));
    ++i;  // takes two slots
  }
  std::sort(starts.begin(), starts.end());
  starts.erase(std::unique(starts.begin(), starts.end()), starts.end());
  for (uint32_t i = 0; i < n && i < starts.size(); ++i) functions[i].insn_off = starts[i];
}

}  // namespace

Result<int> attach_clone(const CloneOptions& options) {
  const bpf_program* program = options.model;
  // The model's function records: the verifier wants them for its bpf_loop callback.
  bpf_func_info functions[8] = {};
  bpf_prog_info info{};
  info.nr_func_info = std::size(functions);
  info.func_info_rec_size = sizeof(bpf_func_info);
  info.func_info = reinterpret_cast<uint64_t>(functions);
  uint32_t length = sizeof(info);
  if (bpf_prog_get_info_by_fd(bpf_program__fd(program), &info, &length) != 0)
    return Error::from_errno("probe model");
  const bpf_insn* insns = bpf_program__insns(program);
  const size_t count = bpf_program__insn_cnt(program);
  if (info.nr_func_info > std::size(functions)) return Error::invalid("probe model: too many functions");
  place_functions(insns, count, functions, info.nr_func_info);
  auto load = bpf_options<bpf_prog_load_opts>();
  load.prog_btf_fd = static_cast<uint32_t>(options.model_types);
  load.func_info = functions;
  load.func_info_cnt = info.nr_func_info;
  load.func_info_rec_size = sizeof(bpf_func_info);
  load.expected_attach_type = options.exit ? BPF_TRACE_FEXIT : BPF_TRACE_FENTRY;
  load.attach_prog_fd = static_cast<uint32_t>(options.program);
  load.attach_btf_id = options.function;
  const int clone =
      bpf_prog_load(BPF_PROG_TYPE_TRACING, bpf_program__name(program), "GPL", insns, count, &load);
  if (clone < 0) return Error::from_errno(options.exit ? "fexit rejected" : "fentry rejected");
  auto link = bpf_options<bpf_link_create_opts>();
  link.tracing.cookie = options.cookie;
  const int fd = bpf_link_create(clone, 0, load.expected_attach_type, &link);
  if (fd < 0) {
    Error e = Error::from_errno(options.exit ? "fexit not attached" : "fentry not attached");
    ::close(clone);
    return e;
  }
  return clone;
}

}  // namespace ktstr::probe
