#include <array>

#include "monitor/walkers.h"
#include "runtime/text.h"

namespace ktstr {
namespace {

constexpr size_t kMaxName = 32;
constexpr uint32_t kSpanBytes = GuestKernel::kMaxCpus / 8;

std::string read_span(const GuestKernel& kernel, uint64_t at) {
  std::array<uint64_t, kSpanBytes / 8> words{};
  const uint32_t bytes = (kernel.cpus() + 63) / 64 * 8;
  if (!kernel.memory().read(at, words.data(), bytes)) return {};
  std::vector<unsigned> cpus;
  for (uint32_t cpu = 0; cpu < kernel.cpus(); ++cpu) {
    if ((words[cpu / 64] >> (cpu % 64)) & 1) cpus.push_back(cpu);
  }
  return cpu_list(std::move(cpus));
}

}  // namespace

bool read_domains(const GuestKernel& kernel, uint32_t cpu, std::vector<std::unique_ptr<DomainSampleT>>& out) {
  const GuestMemory& memory = kernel.memory();
  const KernelLayout& l = kernel.layout();
  if (!l.rq.domain || !l.domain.parent) return true;
  auto domain = l.rq.domain.read(memory, kernel.per_cpu(kernel.symbol("runqueues"), cpu));
  if (!domain) return false;
  for (uint32_t level = 0; *domain != 0; ++level) {
    if (level == kMaxDomainLevels) return false;  // a loop
    const auto parent = l.domain.parent.read(memory, *domain);
    if (!parent) return false;
    auto s = std::make_unique<DomainSampleT>();
    s->cpu = static_cast<uint16_t>(cpu);
    s->level = static_cast<uint32_t>(l.domain.level.read(memory, *domain).value_or(level));
    if (const auto name = l.domain.name.read(memory, *domain); name && *name) {
      s->name = memory.text(*name, kMaxName).value_or("");
    }
    if (l.domain.span) s->span = read_span(kernel, *domain + l.domain.span);
    for (const NamedField& counter : l.domain.counters) {
      const auto value = counter.field.read(memory, *domain);
      if (!value) return false;
      if (*value == 0) continue;
      auto c = std::make_unique<CounterT>();
      c->name = counter.name;
      c->value = static_cast<int64_t>(*value);
      s->counters.push_back(std::move(c));
    }
    out.push_back(std::move(s));
    domain = parent;
  }
  return true;
}

}  // namespace ktstr
