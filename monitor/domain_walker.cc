#include <algorithm>
#include <array>

#include "monitor/walkers.h"

namespace ktstr {
namespace {

// Name and span; a name that is not readable is empty.
bool read_identity(const GuestKernel& kernel, uint64_t at, std::span<const uint8_t> bytes,
                   DomainReading& domain, Reading& reading) {
  const DomainLayout& l = kernel.layout().domain;
  const GuestMemory& memory = kernel.memory();
  if (const uint64_t name = l.name.in(bytes)) {
    // Names are a few letters among other strings: ask for no more than the page holds.
    const size_t size = std::min<size_t>(domain.name.size(), 4096 - name % 4096);
    if (!memory.read(name, domain.name.data(), size)) domain.name[0] = '\0';
  }
  domain.first_span = static_cast<uint32_t>(reading.domain_spans.size());
  reading.domain_spans.resize(reading.domain_spans.size() + reading.span_words, 0);
  if (!l.span) return true;
  return memory.read(at + l.span, reading.domain_spans.data() + domain.first_span, reading.span_words * 8);
}

}  // namespace

bool read_domains(const GuestKernel& kernel, uint32_t cpu, Reading& reading) {
  const GuestMemory& memory = kernel.memory();
  const KernelLayout& l = kernel.layout();
  if (!l.rq.domain || !l.domain.parent || !l.domain.bytes) return true;
  reading.span_words = (kernel.cpus() + 63) / 64;

  auto at = l.rq.domain.read(memory, kernel.per_cpu(kernel.places().runqueues, cpu));
  if (!at) return false;
  std::array<uint8_t, kMaxDomainBytesRead> bytes;
  for (uint32_t depth = 0; *at != 0; ++depth) {
    if (depth == kMaxDomainLevels) return false;  // a loop
    if (!memory.read(*at, bytes.data(), l.domain.bytes)) return false;
    const std::span<const uint8_t> copy(bytes.data(), l.domain.bytes);
    DomainReading domain;
    domain.cpu = static_cast<uint16_t>(cpu);
    domain.level = l.domain.level ? static_cast<uint32_t>(l.domain.level.in(copy)) : depth;
    if (!read_identity(kernel, *at, copy, domain, reading)) return false;
    domain.first_value = static_cast<uint32_t>(reading.domain_values.size());
    for (const NamedField& counter : l.domain.counters)
      reading.domain_values.push_back(counter.field.in(copy));
    reading.domains.push_back(domain);
    at = l.domain.parent.in(copy);
  }
  return true;
}

}  // namespace ktstr
