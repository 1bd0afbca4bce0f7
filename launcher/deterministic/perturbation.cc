#include "launcher/deterministic/perturbation.h"

#include <algorithm>
#include <cmath>

#include "base/clock.h"
#include "base/text.h"

namespace ktstr {
namespace {

constexpr uint64_t kUs = 1'000;

// splitmix64: the same numbers everywhere, which the standard's distributions do not promise.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t next() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  uint64_t below(uint64_t n) { return next() % n; }

 private:
  uint64_t state_;
};

}  // namespace

Result<DeterminismT> determinism_for(uint64_t seed, const std::string& strategy) {
  if (std::none_of(std::begin(kStrategies), std::end(kStrategies), [&](auto s) { return strategy == s; }))
    return Error::invalid("no strategy is called \"" + strategy + "\"").with_hint("random or few");
  DeterminismT d;
  d.seed = seed;
  d.strategy = "none";
  if (seed == 0) return d;
  Random random(seed);
  d.strategy = strategy;
  d.attach_delay_ns = random.below(10 * kMs);
  d.start_spread_ns = random.below(20 * kMs);
  if (strategy == "few") {
    d.switch_points = static_cast<uint32_t>(1 + random.below(20));
    return d;
  }
  d.icount_shift = static_cast<uint8_t>(1 + random.below(3));
  // From 50 us on, one of five octaves and a place in it: each length of time is tried as often as the others.
  const uint64_t octave = (50 * kUs) << random.below(5);
  d.switch_ns = static_cast<uint32_t>(octave + random.below(octave));
  return d;
}

std::vector<std::string> differences(const DeterminismT& a, const DeterminismT& b) {
  std::vector<std::string> out;
  auto compare = [&](const char* name, uint64_t x, uint64_t y, bool time) {
    if (x == y) return;
    auto text = [time](uint64_t v) { return time ? human_ns(v) : std::to_string(v); };
    out.push_back(std::string(name) + " " + text(x) + " → " + text(y));
  };
  compare("icount_shift", a.icount_shift, b.icount_shift, false);
  compare("switch_ns", a.switch_ns, b.switch_ns, true);
  compare("switch_points", a.switch_points, b.switch_points, false);
  compare("attach_delay_ns", a.attach_delay_ns, b.attach_delay_ns, true);
  compare("start_spread_ns", a.start_spread_ns, b.start_spread_ns, true);
  return out;
}

}  // namespace ktstr
