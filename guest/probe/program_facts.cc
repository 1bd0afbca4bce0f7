#include "guest/probe/program_facts.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <linux/bpf.h>

#include <algorithm>

#include "base/text.h"
#include "base/unique_fd.h"
#include "schemas/guest_generated.h"

namespace ktstr::probe {
namespace {

constexpr uint32_t kMaxRecords = 65536;  // of any one kind in a program
constexpr uint32_t kMaxBtf = 7u << 20;   // fits in a channel frame

const char* text(const struct btf* b, uint32_t offset) {
  const char* s = b ? btf__name_by_offset(b, offset) : nullptr;
  return s ? s : "";
}

// The arrays that the kernel fills beside bpf_prog_info; only records of the size we know are asked for.
struct Arrays {
  std::vector<bpf_func_info> functions;
  std::vector<bpf_line_info> lines;
  std::vector<uint64_t> ksyms, jited_lines;
  std::vector<uint32_t> lengths;

  explicit Arrays(const bpf_prog_info& n)
      : functions(std::min(n.nr_func_info, kMaxRecords)),
        lines(std::min(n.nr_line_info, kMaxRecords)),
        ksyms(std::min(n.nr_jited_ksyms, kMaxRecords)),
        jited_lines(std::min(n.nr_jited_line_info, kMaxRecords)),
        lengths(std::min(n.nr_jited_func_lens, kMaxRecords)) {}

  void ask(bpf_prog_info& q) {
    q.nr_func_info = static_cast<uint32_t>(functions.size());
    q.func_info_rec_size = sizeof(bpf_func_info);
    q.func_info = reinterpret_cast<uint64_t>(functions.data());
    q.nr_line_info = static_cast<uint32_t>(lines.size());
    q.line_info_rec_size = sizeof(bpf_line_info);
    q.line_info = reinterpret_cast<uint64_t>(lines.data());
    q.nr_jited_ksyms = static_cast<uint32_t>(ksyms.size());
    q.jited_ksyms = reinterpret_cast<uint64_t>(ksyms.data());
    q.nr_jited_line_info = static_cast<uint32_t>(jited_lines.size());
    q.jited_line_info_rec_size = sizeof(uint64_t);
    q.jited_line_info = reinterpret_cast<uint64_t>(jited_lines.data());
    q.nr_jited_func_lens = static_cast<uint32_t>(lengths.size());
    q.jited_func_lens = reinterpret_cast<uint64_t>(lengths.data());
  }
};

void add_functions(const Arrays& a, const struct btf* btf, BpfProgramT& out) {
  for (size_t i = 0; i < std::max(a.functions.size(), a.ksyms.size()); ++i) {
    auto f = std::make_unique<BpfFunctionT>();
    if (i < a.functions.size()) {
      f->btf_type_id = a.functions[i].type_id;
      const btf_type* t = btf ? btf__type_by_id(btf, f->btf_type_id) : nullptr;
      if (t) f->name = text(btf, t->name_off);
    }
    if (i < a.ksyms.size()) f->address = a.ksyms[i];
    if (i < a.lengths.size()) f->size = a.lengths[i];
    out.functions.push_back(std::move(f));
  }
}

void add_lines(const Arrays& a, const struct btf* btf, BpfProgramT& out) {
  const size_t n = std::min(a.lines.size(), a.jited_lines.size());
  for (size_t i = 0; i < n; ++i) {
    auto l = std::make_unique<LineInfoT>();
    l->jited_addr = a.jited_lines[i];
    l->insn = a.lines[i].insn_off;
    l->file = text(btf, a.lines[i].file_name_off);
    l->line = BPF_LINE_INFO_LINE_NUM(a.lines[i].line_col);
    std::string source = text(btf, a.lines[i].line_off);
    const size_t first = source.find_first_not_of(" \t");
    l->text = first == std::string::npos ? "" : source.substr(first);
    for (const auto& f : out.functions)
      if (l->jited_addr >= f->address && l->jited_addr < f->address + f->size) l->function = f->name;
    out.lines.push_back(std::move(l));
  }
  std::sort(out.lines.begin(), out.lines.end(),
            [](const auto& x, const auto& y) { return x->jited_addr < y->jited_addr; });
}

}  // namespace

void FreeBtf::operator()(struct btf* b) const { btf__free(b); }

Result<ProgramFacts> read_program(int prog_fd, const std::string& member) {
  bpf_prog_info counts{};
  uint32_t length = sizeof(counts);
  if (bpf_prog_get_info_by_fd(prog_fd, &counts, &length) != 0) return Error::from_errno("program info");
  Arrays arrays(counts);
  bpf_prog_info info{};
  arrays.ask(info);
  length = sizeof(info);
  if (bpf_prog_get_info_by_fd(prog_fd, &info, &length) != 0) return Error::from_errno("program info");

  ProgramFacts facts;
  if (info.btf_id) facts.btf.reset(btf__load_from_kernel_by_id(info.btf_id));
  BpfProgramT& p = facts.program;
  p.id = info.id;
  p.tag = hex_bytes({info.tag, sizeof(info.tag)});
  p.type = info.type;
  p.member = member;
  p.btf_id = info.btf_id;
  p.insns = info.xlated_prog_len / 8;
  p.jited_bytes = info.jited_prog_len;
  p.verified_insns = info.verified_insns;
  add_functions(arrays, facts.btf.get(), p);
  add_lines(arrays, facts.btf.get(), p);
  p.name = !p.functions.empty() && !p.functions[0]->name.empty()
               ? p.functions[0]->name
               : std::string(info.name, ::strnlen(info.name, 16));
  return facts;
}

Result<BpfBtfT> read_btf(uint32_t btf_id) {
  UniqueFd fd(bpf_btf_get_fd_by_id(btf_id));
  if (!fd) return Error::from_errno("BTF " + std::to_string(btf_id));
  bpf_btf_info info{};
  uint32_t length = sizeof(info);
  if (bpf_btf_get_info_by_fd(fd.get(), &info, &length) != 0) return Error::from_errno("BTF info");
  if (info.btf_size > kMaxBtf)
    return Error::exhausted("BTF " + std::to_string(btf_id) + ": too large to send");
  BpfBtfT out;
  out.id = btf_id;
  out.data.resize(info.btf_size);
  char name[64] = {};
  info = {};
  info.btf = reinterpret_cast<uint64_t>(out.data.data());
  info.btf_size = static_cast<uint32_t>(out.data.size());
  info.name = reinterpret_cast<uint64_t>(name);
  info.name_len = sizeof(name);
  length = sizeof(info);
  if (bpf_btf_get_info_by_fd(fd.get(), &info, &length) != 0) return Error::from_errno("BTF info");
  out.name = name;
  return out;
}

}  // namespace ktstr::probe
