#include "monitor/frozen_programs.h"

#include <algorithm>
#include <map>

#include "monitor/kallsyms.h"
#include "monitor/walkers.h"

namespace ktstr {
namespace {

constexpr size_t kMaxJudged = 64;
constexpr size_t kMaxInsns = 1u << 15;  // of one program
constexpr size_t kMaxAllInsns = 1u << 17;
constexpr size_t kMaxFunctions = 256;  // BPF_MAX_SUBPROGS
constexpr size_t kMaxNamed = 64;

std::vector<uint32_t> functions_of(const GuestKernel& kernel, uint64_t aux, size_t insns) {
  const ProgramLayout& l = kernel.layout().program;
  std::vector<uint32_t> out{0};
  const auto table = l.functions.read(kernel.memory(), aux);
  const auto count = l.function_count.read(kernel.memory(), aux);
  if (!table || !*table || !count || l.function_bytes < sizeof(uint32_t)) return out;
  for (uint64_t i = 1; i < std::min<uint64_t>(*count, kMaxFunctions); ++i) {
    const auto first = kernel.memory().get<uint32_t>(*table + i * l.function_bytes);
    if (!first || *first <= out.back() || *first >= insns) return {};
    out.push_back(*first);
  }
  return out;
}

bool needs_name(const bpf_insn& i) { return i.code == (BPF_JMP | BPF_CALL) && i.src_reg != BPF_PSEUDO_CALL; }

}  // namespace

std::vector<ProgramCapture> capture_programs(const GuestKernel& kernel) {
  const ProgramLayout& l = kernel.layout().program;
  std::vector<ProgramCapture> out;
  std::vector<uint64_t> found;
  const uint64_t idr = kernel.places().prog_idr;
  if (!idr || !l.code || !l.struct_ops_type || !kernel.places().bpf_call_base) return out;
  if (!collect_idr(kernel, idr, found)) return out;
  size_t total = 0;
  for (const uint64_t program : found) {
    const auto type = l.type.read(kernel.memory(), program);
    const auto aux = l.aux.read(kernel.memory(), program);
    const auto insns = l.insns.read(kernel.memory(), program);
    if (!type || *type != l.struct_ops_type || !aux || !insns || *insns == 0 || *insns > kMaxInsns) continue;
    if (out.size() == kMaxJudged || total + *insns > kMaxAllInsns) break;
    ProgramCapture one;
    one.id = static_cast<uint32_t>(l.id.read(kernel.memory(), *aux).value_or(0));
    one.code.functions = functions_of(kernel, *aux, *insns);
    one.code.insns.resize(*insns);
    if (one.code.functions.empty() ||
        !kernel.memory().read(program + l.code.offset, one.code.insns.data(), *insns * sizeof(bpf_insn)))
      continue;
    total += *insns;
    out.push_back(std::move(one));
  }
  return out;
}

std::vector<std::unique_ptr<FrozenProgramT>> judge_programs(const GuestKernel& kernel,
                                                            std::vector<ProgramCapture> programs) {
  const uint64_t base = kernel.places().bpf_call_base;
  auto target = [&](const bpf_insn& i) { return base + static_cast<uint64_t>(int64_t{i.imm}); };
  std::vector<uint64_t> addresses;
  for (const ProgramCapture& p : programs)
    for (const bpf_insn& insn : p.code.insns)
      if (needs_name(insn)) addresses.push_back(target(insn));
  std::sort(addresses.begin(), addresses.end());
  addresses.erase(std::unique(addresses.begin(), addresses.end()), addresses.end());
  std::map<uint64_t, std::string> names;
  if (const auto tables = KallsymsTables::from(kernel.info()); tables && !addresses.empty())
    names = name_addresses(kernel.memory(), *tables, kernel.layout().threads.relative_symbols,
                           std::move(addresses));
  std::vector<std::unique_ptr<FrozenProgramT>> out;
  for (const ProgramCapture& p : programs) {
    const ProgramWays ways = find_ways(p.code, [&](uint32_t i) {
      const auto name = names.find(target(p.code.insns[i]));
      return name == names.end()
                 ? CallDoes::kNothing
                 : call_does(std::string_view(name->second).substr(0, name->second.find('+')));
    });
    auto fact = std::make_unique<FrozenProgramT>();
    fact->id = p.id;
    auto bounded = [](std::vector<uint32_t> all) {
      all.resize(std::min(all.size(), kMaxNamed));
      return all;
    };
    fact->places = bounded(ways.places);
    fact->unplaced = bounded(ways.unplaced);
    fact->dropped = bounded(ways.dropped);
    fact->unarmed = bounded(ways.unarmed);
    out.push_back(std::move(fact));
  }
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a->id < b->id; });
  return out;
}

}  // namespace ktstr
