#include "bpf/read_plan.h"

#include <algorithm>
#include <numeric>
#include <span>

namespace ktstr::probe {
namespace {

// A read costs as much as copying some hundred bytes, so that what lies between two values is read with them. Tried
// from the left until the hit has room.
constexpr uint32_t kGaps[] = {96, 32, 0};

bool is_string(const ValueSpecT& v) { return v.format == ValueFormat::CString; }
bool is_argument(const ValueSpecT& v) { return v.offsets.empty() && !is_string(v); }
uint8_t register_of(const ValueSpecT& v) {
  return v.arg == 255 ? KTSTR_RETURN : std::min<uint8_t>(v.arg, KTSTR_MAX_ARGS - 1);
}
uint32_t bytes_of(const ValueSpecT& v) {
  return is_string(v) ? KTSTR_VALUE_BYTES : std::clamp<uint32_t>(v.size, 1, KTSTR_VALUE_BYTES);
}
std::span<const uint32_t> pointers(const ValueSpecT& v) {
  return {v.offsets.data(), v.offsets.empty() ? 0 : v.offsets.size() - 1};
}

ktstr_read read_of(const ValueSpecT& v, uint32_t at) {
  ktstr_read r{};
  r.arg = register_of(v);
  r.hops = static_cast<uint8_t>(v.offsets.size());
  r.string = is_string(v);
  r.size = static_cast<uint8_t>(bytes_of(v));
  r.at = static_cast<uint16_t>(at);
  std::copy(v.offsets.begin(), v.offsets.end(), r.offsets);
  return r;
}

// Neighbours follow each other, strings last.
std::vector<size_t> reading_order(std::span<const ValueSpecT* const> values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, [&](size_t a, size_t b) {
    const ValueSpecT &x = *values[a], &y = *values[b];
    if (is_string(x) != is_string(y)) return is_string(y);
    if (x.arg != y.arg) return x.arg < y.arg;
    if (x.offsets.empty() || y.offsets.empty()) return x.offsets.size() < y.offsets.size();
    if (!std::ranges::equal(pointers(x), pointers(y)))
      return std::ranges::lexicographical_compare(pointers(x), pointers(y));
    return x.offsets.back() < y.offsets.back();
  });
  return order;
}

// False: the hit has no room for gaps of this size.
bool lay_out(std::span<const ValueSpecT* const> values, uint32_t gap, ReadPlan* plan) {
  uint32_t used = 0;
  const ValueSpecT* first = nullptr;  // of the read that is being extended
  plan->places.resize(values.size());
  for (const size_t i : reading_order(values)) {
    const ValueSpecT& v = *values[i];
    ReadPlan::Place& place = plan->places[i];
    place.bytes = static_cast<uint16_t>(bytes_of(v));
    if (is_argument(v)) {
      place = {-1, register_of(v), 8};
      continue;
    }
    if (first && !is_string(v) && first->arg == v.arg && std::ranges::equal(pointers(*first), pointers(v))) {
      ktstr_read& r = plan->reads.back();
      const uint64_t begin = first->offsets.back(), end = begin + r.size;
      const uint64_t wanted = std::max<uint64_t>(end, uint64_t{v.offsets.back()} + place.bytes);
      if (v.offsets.back() <= end + gap && wanted - begin <= KTSTR_READ_BYTES) {
        r.size = static_cast<uint8_t>(wanted - begin);
        used = r.at + r.size;
        place.read = static_cast<int>(plan->reads.size()) - 1;
        place.at = static_cast<uint16_t>(r.at + v.offsets.back() - begin);
        continue;
      }
    }
    if (used >= KTSTR_DATA_BYTES) return false;
    first = is_string(v) ? nullptr : &v;
    place.read = static_cast<int>(plan->reads.size());
    place.at = static_cast<uint16_t>(used);
    plan->reads.push_back(read_of(v, used));
    used += place.bytes;
  }
  return true;
}

}  // namespace

ReadPlan plan_reads(const ProbeTargetT& target) {
  std::vector<const ValueSpecT*> values;
  uint32_t bytes = 0;
  for (const auto& v : target.values) {
    bytes += is_argument(*v) ? 0 : bytes_of(*v);
    if (values.size() == KTSTR_MAX_VALUES || v->offsets.size() > KTSTR_MAX_HOPS || bytes > KTSTR_DATA_BYTES)
      break;
    values.push_back(v.get());
  }
  for (const uint32_t gap : kGaps) {
    ReadPlan plan;
    if (lay_out(values, gap, &plan)) return plan;
  }
  return {};  // not reached: without gaps the reads take no more than the values, which fit
}

std::vector<ReadPlan> plan_all_reads(const ProbePlanT& plan) {
  std::vector<ReadPlan> all;
  for (const auto& target : plan.targets) all.push_back(plan_reads(*target));
  return all;
}

}  // namespace ktstr::probe
