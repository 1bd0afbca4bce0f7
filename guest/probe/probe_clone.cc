#include "guest/probe/probe_clone.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <unistd.h>

#include <iterator>
#include <string>
#include <vector>

#include "bpf/direct_reads.h"
#include "guest/probe/bpf_options.h"

namespace ktstr::probe {
namespace {

struct Copy {
  std::vector<bpf_insn> insns;
  std::vector<bpf_func_info> functions;  // the verifier wants them for the bpf_loop callback
};

Result<Copy> copy_of(const CloneOptions& options) {
  const bpf_program* program = options.model;
  bpf_func_info functions[8] = {};
  bpf_prog_info info{};
  info.nr_func_info = std::size(functions);
  info.func_info_rec_size = sizeof(bpf_func_info);
  info.func_info = reinterpret_cast<uint64_t>(functions);
  uint32_t length = sizeof(info);
  if (bpf_prog_get_info_by_fd(bpf_program__fd(program), &info, &length) != 0)
    return Error::from_errno("probe model");
  if (info.nr_func_info > std::size(functions)) return Error::invalid("probe model: too many functions");
  const bpf_insn* insns = bpf_program__insns(program);
  Copy copy{{insns, insns + bpf_program__insn_cnt(program)}, {functions, functions + info.nr_func_info}};
  if (!options.reads.empty() && !splice(&copy.insns, options.reads))
    return Error::invalid("probe model: no place for the reads");
  // The kernel says where functions are in the program that it rewrote.
  const std::vector<uint32_t> starts = function_starts(copy.insns);
  for (size_t i = 0; i < copy.functions.size() && i < starts.size(); ++i)
    copy.functions[i].insn_off = starts[i];
  return copy;
}

Result<int> load_copy(const CloneOptions& options, bpf_prog_type type, bpf_attach_type attach, Copy copy) {
  auto load = bpf_options<bpf_prog_load_opts>();
  load.prog_btf_fd = static_cast<uint32_t>(options.model_types);
  load.func_info = copy.functions.data();
  load.func_info_cnt = static_cast<uint32_t>(copy.functions.size());
  load.func_info_rec_size = sizeof(bpf_func_info);
  load.expected_attach_type = attach;
  if (options.program >= 0) {
    load.attach_prog_fd = static_cast<uint32_t>(options.program);
    load.attach_btf_id = options.function;
  }
  const int fd = bpf_prog_load(type, bpf_program__name(options.model), "GPL", copy.insns.data(),
                               copy.insns.size(), &load);
  if (fd < 0) return Error::from_errno(std::string(bpf_program__name(options.model)) + " rejected");
  return fd;
}

}  // namespace

Result<int> load_multi_clone(const CloneOptions& options) {
  auto copy = copy_of(options);
  if (!copy) return std::move(copy).error();
  return load_copy(options, BPF_PROG_TYPE_KPROBE, BPF_TRACE_KPROBE_MULTI, std::move(*copy));
}

Result<int> attach_clone(const CloneOptions& options) {
  auto copy = copy_of(options);
  if (!copy) return std::move(copy).error();
  set_cookie(&copy->insns, static_cast<uint32_t>(options.cookie));
  const bpf_attach_type attach = options.exit ? BPF_TRACE_FEXIT : BPF_TRACE_FENTRY;
  auto loaded = load_copy(options, BPF_PROG_TYPE_TRACING, attach, std::move(*copy));
  if (!loaded) return loaded;
  const int clone = *loaded;
  auto link = bpf_options<bpf_link_create_opts>();
  const int fd = bpf_link_create(clone, 0, attach, &link);
  if (fd < 0) {
    Error e = Error::from_errno(options.exit ? "fexit not attached" : "fentry not attached");
    ::close(clone);
    return e;
  }
  return clone;
}

}  // namespace ktstr::probe
