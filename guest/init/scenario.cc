#include "guest/init/scenario.h"

#include <signal.h>

#include <algorithm>

#include "base/clock.h"
#include "guest/init/output_pipe.h"
#include "schemas/spec_generated.h"
#include "schemas/workload_generated.h"

namespace ktstr::guest {
namespace {

constexpr uint64_t kOpGraceNs = 2 * kSecond;   // for workers and payloads that a step ends
constexpr uint64_t kHotplugNs = 20 * kSecond;  // for one CPU
constexpr uint64_t kCoreNs = 10 * kSecond;
constexpr uint64_t kBodyNs = 60 * kSecond;  // for a body that says nothing of its time, beyond the duration
constexpr size_t kMaxPayloadRuns = 1024;

}  // namespace

struct Scenario::Outputs {
  Outputs(EventLoop& loop, EventChannel& channel, std::string payload)
      : out(loop, [this, &channel](auto text, bool cut,
                                   uint64_t ns) { line(channel, OutputStream::Stdout, text, cut, ns); }),
        err(loop, [this, &channel](auto text, bool cut,
                                   uint64_t ns) { line(channel, OutputStream::Stderr, text, cut, ns); }),
        name(std::move(payload)) {}
  void line(EventChannel& channel, OutputStream stream, std::string_view text, bool cut, uint64_t ns) {
    PayloadLineT fact;
    fact.name = name;
    fact.stream = stream;
    fact.text = text;
    fact.truncated = cut;
    channel.send(std::move(fact), ns);
  }
  OutputReader out, err;
  std::string name;
  UniqueFd out_write, err_write;
};

Scenario::Scenario(EventLoop& loop, EventChannel& channel, CoreCatcher& cores, ScenarioOptions options)
    : loop_(loop),
      channel_(channel),
      cores_(cores),
      options_(std::move(options)),
      workload_(loop, options_.spec, cgroups_, [this](const std::string& name) { return program_of(name); }),
      hotplug_(loop) {}

Scenario::~Scenario() = default;

// All workers of a payload share one pair of pipes; init keeps the writing ends for those of later steps.
Result<WorkerProgram> Scenario::program_of(const std::string& payload) {
  const auto& all = options_.spec.payloads;
  auto spec = std::find_if(all.begin(), all.end(), [&](const auto& p) { return p->name == payload; });
  if (spec == all.end()) return Error::not_found("payload " + payload);
  auto known =
      std::find_if(outputs_.begin(), outputs_.end(), [&](const auto& o) { return o->name == payload; });
  if (known == outputs_.end()) {
    auto out = make_output_pipe();
    auto err = make_output_pipe();
    if (!out || !err) return Error::from_errno("pipes of payload " + payload);
    outputs_.push_back(std::make_unique<Outputs>(loop_, channel_, payload));
    known = outputs_.end() - 1;
    (*known)->out.start(std::move(out->read));
    (*known)->err.start(std::move(err->read));
    (*known)->out_write = std::move(out->write);
    (*known)->err_write = std::move(err->write);
  }
  WorkerProgram program;
  program.argv = {(*spec)->guest_path};
  program.argv.insert(program.argv.end(), (*spec)->args.begin(), (*spec)->args.end());
  program.env = payload_environment(options_.spec, payload);
  program.out = (*known)->out_write.get();
  program.err = (*known)->err_write.get();
  program.exit_code = (*spec)->exit_code;
  return program;
}

Status Scenario::start_payload(const PayloadSpecT& spec) {
  if (payloads_.size() >= kMaxPayloadRuns) return Error::exhausted("more than 1024 payloads were started");
  auto folder = cgroups_.open(spec.cgroup);
  if (!folder) return std::move(folder).error();
  auto process = std::make_unique<PayloadProcess>(loop_, channel_, spec);
  if (spec.name == options_.spec.body) process->set_on_phase(options_.phase);
  if (auto started = process->start(folder->get(), options_.spec); !started)
    return std::move(started).error().within("payload " + spec.name);
  payloads_.push_back(std::move(process));
  return {};
}

Status Scenario::start() {
  if (auto started = workload_.start(options_.before_go); !started) return started;
  for (const auto& payload : options_.spec.payloads) {
    if (payload->on_demand) continue;
    if (auto started = start_payload(*payload); !started) {
      stop(kSecond);
      return started;
    }
  }
  return {};
}

bool Scenario::over() const {
  if (outer_over_()) return true;
  const std::string& body = options_.spec.body;
  return !body.empty() && std::any_of(payloads_.begin(), payloads_.end(),
                                      [&](const auto& p) { return p->spec().name == body && !p->running(); });
}

void Scenario::run(const std::function<bool()>& outer_over) {
  outer_over_ = outer_over;
  const uint64_t start = now_ns();
  // The duration is a span of the guest's own clock: it is not scaled. A body takes the time it needs.
  end_ns_ = start + options_.spec.duration_ns;
  if (!options_.spec.body.empty()) end_ns_ += scaled(kBodyNs);
  for (const auto& payload : options_.spec.payloads)
    if (payload->name == options_.spec.body && payload->timeout_ns)
      end_ns_ = start + scaled(payload->timeout_ns) + kSecond;
  loop_.every(25 * kMs, [this] { look_at_payloads(); });
  auto done = [this] { return over(); };
  for (size_t i = 0; i < options_.spec.steps.size() && !over(); ++i) {
    const StepT& step = *options_.spec.steps[i];
    options_.phase(step.name);
    apply(step, static_cast<uint32_t>(i + 1));
    loop_.run_until(done, std::min(end_ns_, now_ns() + step.hold_ns));
  }
  loop_.run_until(done, end_ns_);
  wait_for_timed();
  const std::string& body = options_.spec.body;
  for (auto& payload : payloads_)
    if (payload->spec().name == body && now_ns() >= end_ns_) payload->time_out();
}

// A payload with a time-out is to end by itself: the workload goes on until it has, or its time is over.
void Scenario::wait_for_timed() {
  auto runs = [this](const auto& p) {
    return p->running() && p->spec().timeout_ns != 0 && p->spec().name != options_.spec.body;
  };
  uint64_t limit = 0;
  for (const auto& payload : payloads_)
    if (runs(payload)) limit = std::max(limit, payload->started_ns() + scaled(payload->spec().timeout_ns));
  if (limit == 0) return;
  loop_.run_until([&] { return over() || std::none_of(payloads_.begin(), payloads_.end(), runs); },
                  limit + kOpGraceNs);
}

void Scenario::apply(const StepT& step, uint32_t number) {
  for (size_t i = 0; i < step.ops.size() && !over(); ++i) {
    OpAppliedT fact;
    fact.step = number;
    fact.index = static_cast<uint32_t>(i);
    fact.op = step.ops[i]->text;
    if (auto applied = apply(*step.ops[i], number); !applied) fact.error = applied.error().message();
    channel_.send(std::move(fact));
    loop_.run_until([] { return true; }, 0);  // sends the event
  }
}

Status Scenario::apply(const StepOpT& op, uint32_t step) {
  switch (op.kind) {
    case OpKind::AddCgroup:
      return cgroups_.add(op.cgroup, op.cpus);
    case OpKind::RemoveCgroup:
      workload_.stop_group(op.cgroup, scaled(kOpGraceNs));
      return cgroups_.remove(op.cgroup);
    case OpKind::SetCpuset:
      return workload_.set_cpuset(op.cgroup, op.cpus);
    case OpKind::ClearCpuset:
      return workload_.set_cpuset(op.cgroup, "");
    case OpKind::SwapCpusets:
      return workload_.swap_cpusets(op.cgroup, op.other);
    case OpKind::Spawn:
      if (!op.group) return Error::invalid("nothing to spawn");
      return workload_.spawn(*op.group, step);
    case OpKind::StopCgroup:
      workload_.stop_group(op.cgroup, scaled(kOpGraceNs));
      return {};
    case OpKind::SetAffinity:
      return workload_.set_affinity(op.cgroup, op.cpus);
    case OpKind::MoveAllTasks:
      return workload_.move_all(op.cgroup, op.other);
    case OpKind::RunPayload:
      for (const auto& payload : options_.spec.payloads)
        if (payload->name == op.payload) return start_payload(*payload);
      return Error::not_found("payload " + op.payload);
    case OpKind::WaitPayload:
      return wait_for(op.payload);
    case OpKind::KillPayload:
      if (PayloadProcess* process = last_of(op.payload); process && process->running()) {
        process->ask_to_stop(SIGTERM);
        if (!loop_.run_until([&] { return !process->running(); }, now_ns() + scaled(kOpGraceNs)))
          process->ask_to_stop(SIGKILL);
        return {};
      }
      return Error::not_found("payload " + op.payload + " does not run");
    case OpKind::Offline:
    case OpKind::Online:
      return hotplug(op);
  }
  return Error::invalid("an operation of a later version");
}

Status Scenario::hotplug(const StepOpT& op) {
  const bool online = op.kind == OpKind::Online;
  const std::vector<unsigned> cpus = cpus_of(op.cpus);
  workload_.cpus_change(cpus, online);
  auto done = hotplug_.set(cpus, online, scaled(kHotplugNs));
  workload_.cpus_changed();
  return done;
}

PayloadProcess* Scenario::last_of(const std::string& payload) {
  auto found = std::find_if(payloads_.rbegin(), payloads_.rend(),
                            [&](const auto& p) { return p->spec().name == payload; });
  return found == payloads_.rend() ? nullptr : found->get();
}

Status Scenario::wait_for(const std::string& payload) {
  PayloadProcess* process = last_of(payload);
  if (!process) return Error::not_found("payload " + payload + " was not started");
  loop_.run_until([&] { return !process->running() || over(); }, end_ns_);
  if (process->running() && !over())
    return Error::timeout("payload " + payload + " did not end before the workload's end");
  return {};
}

// Deadlines and ends. Waiting for a core serves the loop, so it may be called again meanwhile.
void Scenario::look_at_payloads() {
  if (telling_) return;
  telling_ = true;
  for (size_t i = 0; i < payloads_.size(); ++i) {
    PayloadProcess& p = *payloads_[i];
    const uint64_t limit = p.spec().timeout_ns;
    if (limit != 0 && p.running() && now_ns() - p.started_ns() > scaled(limit)) p.time_out();
    if (!p.to_be_told()) continue;
    p.finish(p.dumped_core() ? cores_.backtrace(p.pid(), scaled(kCoreNs)) : std::vector<std::string>());
  }
  telling_ = false;
}

void Scenario::ask_to_stop() {
  workload_.ask_to_stop();
  for (auto& payload : payloads_) payload->ask_to_stop(SIGTERM);
}

void Scenario::stop(uint64_t grace_ns) {
  ask_to_stop();
  auto all_ended = [this] {
    return std::none_of(payloads_.begin(), payloads_.end(), [](const auto& p) { return p->running(); });
  };
  workload_.stop(grace_ns);
  loop_.run_until(all_ended, now_ns() + grace_ns);
  for (auto& payload : payloads_) payload->ask_to_stop(SIGKILL);
  loop_.run_until(all_ended, now_ns() + grace_ns / 5);
  look_at_payloads();
  for (auto& output : outputs_) {
    output->out.drain(true);
    output->err.drain(true);
  }
}

void Scenario::report() {
  look_at_payloads();
  workload_.report(channel_);
}

bool Scenario::on_end(pid_t pid, int wait_status, const rusage& usage) {
  if (hotplug_.on_end(pid, wait_status)) return true;
  for (auto& payload : payloads_) {
    if (payload->pid() != pid || !payload->running()) continue;
    payload->on_end(wait_status);
    return true;
  }
  return workload_.on_end(pid, wait_status, usage);
}

uint64_t Scenario::dropped_lines() const {
  uint64_t sum = 0;
  for (const auto& payload : payloads_) sum += payload->dropped_lines();
  for (const auto& output : outputs_) sum += output->out.dropped() + output->err.dropped();
  return sum;
}

}  // namespace ktstr::guest
