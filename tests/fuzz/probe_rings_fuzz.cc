// Probe hits: records in a dead guest's memory (with right seals: a hostile guest can seal), hits as events, and the chain that
// is made of them. An input is a plan's choice and the raw bytes of records.
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>

#include "base/unique_fd.h"
#include "reproer/ram_rings.h"
#include "reproer/stitch.h"
#include "tests/fuzz/fuzz_kit.h"

namespace ktstr::fuzz {
namespace {

ktstr_hit sample_hit(uint64_t ns, uint32_t target) {
  ktstr_hit hit{};
  hit.ns = ns;
  hit.target = target;
  hit.pid = 7;
  hit.raw[0] = 0xffff888000000000ull;
  std::memcpy(hit.data, "worker\0\1\2\3", 10);
  return hit;
}

// Values of every format, with and without a path.
ProbePlanT plan() {
  ProbePlanT out;
  out.history = 4;
  for (uint32_t id = 0; id < 6; ++id) {
    auto target = std::make_unique<ProbeTargetT>();
    target->id = id;
    target->kind = id % 2 ? ProbeKind::Callback : ProbeKind::Kprobe;
    target->function = "function_" + std::to_string(id);
    target->nargs = 3;
    target->want_return = true;
    target->chain_index = id;
    target->subject_arg = static_cast<uint8_t>(id % 3);
    for (ValueFormat format : EnumValuesValueFormat()) {
      auto value = std::make_unique<ValueSpecT>();
      value->name = "p->" + std::string(EnumNameValueFormat(format));
      value->arg = static_cast<uint8_t>(id % 4 == 3 ? 255 : id % 3);
      value->offsets = {8, 16};
      value->size = id == 5 ? 64 : 8;
      value->format = format;
      value->enum_names = {"ONE", "TWO"};
      value->enum_values = {1, 2};
      value->bit_offset = static_cast<uint8_t>(id);
      value->bit_size = static_cast<uint8_t>(id == 4 ? 63 : 0);
      target->values.push_back(std::move(value));
    }
    out.targets.push_back(std::move(target));
  }
  return out;
}

}  // namespace

std::vector<Input> seeds() {
  std::vector<Input> out;
  for (int count : {1, 3, 24}) {
    Input input(4, static_cast<uint8_t>(count));
    for (int i = 0; i < count; ++i) {
      const ktstr_hit hit = sample_hit(1000 + static_cast<uint64_t>(i), static_cast<uint32_t>(i % 6));
      const auto* raw = reinterpret_cast<const uint8_t*>(&hit);
      input.insert(input.end(), raw, raw + sizeof hit);
    }
    out.push_back(std::move(input));
  }
  return out;
}

}  // namespace ktstr::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace ktstr;
  using namespace ktstr::fuzz;
  static const ProbePlanT kPlan = plan();
  if (size < 4) return 0;
  UniqueFd ram(::memfd_create("ram", MFD_CLOEXEC));
  must(ram.valid() && ::ftruncate(ram.get(), 1 << 20) == 0, "no memory file");
  off_t at = 0;
  for (size_t i = 4; i + sizeof(ktstr_hit) <= size && at < (1 << 20);
       i += sizeof(ktstr_hit), at += KTSTR_HIT_BYTES) {
    ktstr_hit hit;
    std::memcpy(&hit, data + i, sizeof hit);
    if (data[0] % 4 != 0) hit.seal = ktstr_seal(&hit);
    must(::pwrite(ram.get(), &hit, sizeof hit, at) == sizeof hit, "no memory");
  }
  auto rings = read_rings(ram.get(), kPlan.targets.size());
  must(rings.ok(), "the rings cannot be read");
  std::vector<ProbeHitT> hits;
  for (const ktstr_hit& hit : rings->hits) {
    must(hit.target < kPlan.targets.size(), "a hit of no target");
    const ProbeTargetT& target = *kPlan.targets[hit.target];
    hits.push_back(probe::to_event(hit, target, probe::plan_reads(target), hits.size()));
  }
  ProbeTriggeredT trigger;
  trigger.pid = 7;
  trigger.ns = 2000;
  StitchInputs in;
  in.plan = &kPlan;
  in.hits = &hits;
  if (data[1] % 2) in.trigger = &trigger;
  in.end_ns = 3000;
  const Stitched stitched = stitch(in);
  must(stitched.calls.size() <= kPlan.targets.size(), "more calls than functions");
  return 0;
}
