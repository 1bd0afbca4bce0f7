#include "launcher/deterministic/perturbation.h"

#include <algorithm>
#include <cmath>

#include "base/clock.h"
#include "base/text.h"

namespace ktstr {
namespace {

constexpr uint64_t kMostWindows = 8;

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

namespace {

DeterminismT perturbed(uint64_t seed, const std::string& strategy) {
  DeterminismT d;
  d.seed = seed;
  d.strategy = "none";
  if (seed == 0) return d;
  Random random(seed);
  d.strategy = strategy;
  d.attach_delay_ns = random.below(10 * kMs);
  d.start_spread_ns = random.below(20 * kMs);
  if (strategy == "few") {
    const uint64_t windows = 1 + random.below(kMostWindows);
    for (uint64_t i = 0; i < windows; ++i) d.windows.push_back(static_cast<uint16_t>(random.below(1000)));
    std::sort(d.windows.begin(), d.windows.end());
    // From 32 ns on, one of six octaves and a place in it: a few to a thousand instructions.
    const uint64_t octave = uint64_t{32} << random.below(6);
    d.window_ns = static_cast<uint32_t>(octave + random.below(octave));
    return d;
  }
  d.icount_shift = static_cast<uint8_t>(1 + random.below(3));
  // From 256 ns on, one of 13 octaves and a place in it: each length of time is tried as often as the others. Short turns let all
  // vCPUs advance side by side, for windows that two must be in at once; long ones let one vCPU stay in its window while others
  // do much.
  const uint64_t octave = uint64_t{256} << random.below(13);
  d.switch_ns = static_cast<uint32_t>(octave + random.below(octave));
  return d;
}

std::vector<std::string> words_of(const std::string& list) {
  std::vector<std::string> out;
  for (size_t at = 0; at <= list.size() && !list.empty();) {
    const size_t end = std::min(list.find(',', at), list.size());
    out.emplace_back(trim(std::string_view(list).substr(at, end - at)));
    at = end + 1;
  }
  return out;
}

}  // namespace

std::vector<Perturbation> perturbations_of(const DeterminismT& d) {
  const DeterminismT none;
  std::vector<Perturbation> out;
  if (d.icount_shift != none.icount_shift)
    out.push_back({"speed", "an instruction lasts " + std::to_string(1u << d.icount_shift) + " ns"});
  if (d.switch_ns != 0) out.push_back({"turns", "the vCPUs take turns every " + human_ns(d.switch_ns)});
  if (d.switch_points != 0)
    out.push_back({"turns", std::to_string(d.switch_points) + " single changes of the vCPU a second"});
  if (d.attach_delay_ns != 0)
    out.push_back({"attach", "the scheduler starts " + human_ns(d.attach_delay_ns) + " later"});
  if (d.start_spread_ns != 0)
    out.push_back({"start", "groups of workers start up to " + human_ns(d.start_spread_ns) + " later"});
  for (size_t i = 0; i < d.windows.size(); ++i)
    out.push_back({"window:" + std::to_string(i + 1), "at " + std::to_string(d.windows[i] / 10) + "." +
                                                          std::to_string(d.windows[i] % 10) +
                                                          " % of the workload the vCPUs take turns every " +
                                                          human_ns(d.window_ns) + " for 25 ms"});
  return out;
}

Result<DeterminismT> determinism_for(uint64_t seed, const std::string& strategy, const std::string& drop) {
  if (std::none_of(std::begin(kStrategies), std::end(kStrategies), [&](auto s) { return strategy == s; }))
    return Error::invalid("no strategy is called \"" + strategy + "\"").with_hint("random or few");
  DeterminismT d = perturbed(seed, strategy);
  if (drop.empty()) return d;
  const std::vector<Perturbation> all = perturbations_of(d);
  const std::vector<std::string> words = words_of(drop);
  std::string known;
  for (const Perturbation& p : all) known += (known.empty() ? "" : ", ") + p.name;
  for (const std::string& word : words)
    if (std::none_of(all.begin(), all.end(), [&](const auto& p) { return p.name == word; }))
      return Error::invalid("--drop " + drop + ": seed " + std::to_string(seed) + " has no perturbation \"" +
                            printable(word) + "\"")
          .with_hint(known.empty() ? "seed 0 perturbs nothing" : "it has " + known);
  const auto dropped = [&](const std::string& name) {
    return std::find(words.begin(), words.end(), name) != words.end();
  };
  if (dropped("speed")) d.icount_shift = DeterminismT().icount_shift;
  if (dropped("turns")) d.switch_ns = 0;
  if (dropped("attach")) d.attach_delay_ns = 0;
  if (dropped("start")) d.start_spread_ns = 0;
  std::vector<uint16_t> windows;
  for (size_t i = 0; i < d.windows.size(); ++i)
    if (!dropped("window:" + std::to_string(i + 1))) windows.push_back(d.windows[i]);
  d.windows = std::move(windows);
  if (d.windows.empty()) d.window_ns = 0;
  d.dropped = drop;
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
  compare("windows", a.windows.size(), b.windows.size(), false);
  compare("window_ns", a.window_ns, b.window_ns, true);
  compare("switch_points", a.switch_points, b.switch_points, false);
  compare("attach_delay_ns", a.attach_delay_ns, b.attach_delay_ns, true);
  compare("start_spread_ns", a.start_spread_ns, b.start_spread_ns, true);
  return out;
}

}  // namespace ktstr
