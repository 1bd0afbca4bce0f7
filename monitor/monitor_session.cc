#include "monitor/monitor_session.h"

#include <algorithm>

#include "runtime/text.h"
#include "schemas/envelope.h"

namespace ktstr {

MonitorSession::MonitorSession(const VmStarted& vm, const MonitorSeam& seam, LayoutCache& layouts,
                               Options options)
    : seam_(seam),
      layouts_(layouts),
      options_(options),
      ram_path_(str(vm.ram_path())),
      ram_layout_{vm.ram_bytes(), vm.lowmem_bytes()},
      qemu_pid_(vm.pid()),
      started_ns_(seam.clock->monotonic_ns()),
      last_error_("the VM ended before the first attempt"),
      retry_ns_(options.first_retry_ns) {
  if (ram_layout_.bytes && !ram_layout_.lowmem) ram_layout_ = RamLayout::q35(ram_layout_.bytes);
}

MonitorSession::Facts MonitorSession::tick() {
  Facts facts;
  if (!sampler_) {
    if (seam_.clock->monotonic_ns() < next_try_ns_) return facts;
    try_attach(facts);
    if (!sampler_) return facts;
  }
  if (!sampler_->read()) {
    ++failed_;
    return facts;
  }
  ++samples_;
  facts.sample = sampler_->sample();
  if (seam_.vcpu_threads) {
    for (VcpuThreadT& thread : seam_.vcpu_threads(qemu_pid_)) {
      facts.sample->vcpus.push_back(std::make_unique<VcpuThreadT>(std::move(thread)));
    }
  }
  return facts;
}

void MonitorSession::try_attach(Facts& facts) {
  const uint64_t begin = seam_.clock->monotonic_ns();
  if (!ram_) {
    auto ram = seam_.open_ram(ram_path_);
    if (ram) {
      ram_ = std::move(*ram);
    } else {
      last_error_ = ram.error().message();
    }
  }
  if (ram_) {
    auto kernel = GuestKernel::attach(*ram_, ram_layout_, layouts_);
    if (kernel) {
      kernel_ = std::make_unique<GuestKernel>(std::move(*kernel));
      sampler_ = std::make_unique<Sampler>(*kernel_, *seam_.clock,
                                           std::max<uint64_t>(1'000'000'000 / options_.period_ns, 1));
      MonitorAttachedT attached;
      attached.release = printable(kernel_->info().release());
      attached.kaslr_offset = kernel_->info().kaslr_offset();
      attached.levels5 = kernel_->levels5();
      attached.attach_ns = seam_.clock->monotonic_ns() - begin;
      attached.absent = kernel_->layout().absent;
      attached.cpus = kernel_->cpus();
      attached.period_ns = options_.period_ns;
      attached.symbols = kernel_->layout().symbols_seen;
      attached.cached = kernel_->cached();
      facts.attached = std::move(attached);
      return;
    }
    last_error_ = kernel.error().message();
    // A kernel that is not up yet costs a scan; one that cannot be read costs a decode each time: ask less
    // often.
    if (kernel.error().kind() != ErrorKind::kNotFound)
      retry_ns_ = std::min(retry_ns_ * 2, options_.last_retry_ns);
  }
  next_try_ns_ = seam_.clock->monotonic_ns() + retry_ns_;
}

MonitorSession::Facts MonitorSession::stop(const std::string& reason) {
  Facts facts;
  MonitorStoppedT stopped;
  stopped.samples = samples_;
  stopped.failed = failed_;
  stopped.reason = reason;
  if (sampler_) {
    for (const auto& [part, count] : sampler_->parts_failed()) {
      auto counter = std::make_unique<CounterT>();
      counter->name = part;
      counter->value = static_cast<int64_t>(count);
      stopped.parts_failed.push_back(std::move(counter));
    }
    stopped.programs = sampler_->last_programs();
    stopped.domains = sampler_->last_domains();
  } else {
    const uint64_t tried = seam_.clock->monotonic_ns() - started_ns_;
    facts.unavailable = MonitorUnavailableT{};
    facts.unavailable->reason = printable(last_error_) + " (tried for " + human_ns(tried) + ")";
  }
  facts.stopped = std::move(stopped);
  return facts;
}

}  // namespace ktstr
