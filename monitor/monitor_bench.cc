// What watching costs: one full sample, one thin one, one attach, and growth with the number of CPUs.
#include <benchmark/benchmark.h>

#include "monitor/sampler.h"
#include "monitor/testing/synthetic_kernel.h"
#include "schemas/monitor_generated.h"

namespace ktstr {
namespace {

using testing::SyntheticKernel;
using testing::SyntheticOptions;

SyntheticOptions guest_of(int64_t cpus) {
  SyntheticOptions options;
  options.cpus = static_cast<uint32_t>(cpus);
  options.levels5 = true;
  options.domain_levels = 1;
  return options;
}

struct Attached {
  explicit Attached(int64_t cpus, uint64_t full_every) : guest(guest_of(cpus)) {
    auto attached = GuestKernel::attach(guest.ram(), guest.ram_layout(), cache);
    kernel = std::make_unique<GuestKernel>(std::move(*attached));
    sampler = std::make_unique<Sampler>(*kernel, clock, full_every);
    (void)sampler->read();
  }
  SyntheticKernel guest;
  SystemClock clock;
  LayoutCache cache;
  std::unique_ptr<GuestKernel> kernel;
  std::unique_ptr<Sampler> sampler;
};

void full_sample(benchmark::State& state) {
  Attached a(state.range(0), 1);
  for (auto _ : state) benchmark::DoNotOptimize(a.sampler->read().ok());
  state.SetComplexityN(state.range(0));
}
BENCHMARK(full_sample)
    ->RangeMultiplier(2)
    ->Range(1, 64)
    ->Unit(benchmark::kMicrosecond)
    ->Complexity(benchmark::oN);

void thin_sample(benchmark::State& state) {
  Attached a(state.range(0), UINT64_MAX);
  for (auto _ : state) benchmark::DoNotOptimize(a.sampler->read().ok());
  state.SetComplexityN(state.range(0));
}
BENCHMARK(thin_sample)
    ->RangeMultiplier(4)
    ->Range(1, 64)
    ->Unit(benchmark::kMicrosecond)
    ->Complexity(benchmark::oN);

// The published form of a full sample, packed.
void full_event(benchmark::State& state) {
  Attached a(state.range(0), 1);
  for (auto _ : state) {
    flatbuffers::FlatBufferBuilder fbb;
    const MonitorSampleT sample = a.sampler->sample();
    fbb.Finish(MonitorSample::Pack(fbb, &sample));
    state.counters["bytes"] = fbb.GetSize();
  }
}
BENCHMARK(full_event)->Arg(4)->Arg(64)->Unit(benchmark::kMicrosecond);

// Of the synthetic kernel: 2,000 symbols and little BTF. A real one takes 35-50 ms (200,000 symbols, 5 MB of
// BTF).
void attach(benchmark::State& state) {
  const SyntheticKernel guest(guest_of(4));
  for (auto _ : state) {
    LayoutCache cache;
    benchmark::DoNotOptimize(GuestKernel::attach(guest.ram(), guest.ram_layout(), cache).ok());
  }
}
BENCHMARK(attach)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace ktstr

BENCHMARK_MAIN();
