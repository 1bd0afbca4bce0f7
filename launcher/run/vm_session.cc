#include "launcher/run/vm_session.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <tuple>

#include "base/log.h"
#include "launcher/kernel/kernel_resolve.h"
#include "launcher/vm/accelerator.h"
#include "launcher/vm/handover.h"
#include "launcher/vm/initramfs.h"
#include "launcher/vm/program_files.h"
#include "launcher/vm/qemu_command.h"
#include "schemas/guest_paths.h"
#include "schemas/plan_generated.h"
#include "schemas/spec_generated.h"
#include "schemas/vm_files.h"

namespace ktstr {
namespace {

constexpr size_t kNameOfTemplate = 12;  // digits of its key

// The guest has no use for where a spec and its programs lie on the host (a recorded spec says it in other words), and its course may not depend on it: a longer path is more
// instructions for who reads the plan.
void forget_host(TestSpecT& spec) {
  spec.file.clear();
  spec.line = 0;
  spec.auto_repro = TestSpecT().auto_repro;
  spec.repro_tries = TestSpecT().repro_tries;
  spec.repro_probes.clear();
  if (spec.scheduler) {
    spec.scheduler->binary.clear();
    spec.scheduler->host_path.clear();
    spec.scheduler->build.clear();
    spec.scheduler->chosen_by.clear();
    spec.scheduler->sha256.clear();
  }
  for (auto& payload : spec.payloads) {
    payload->binary.clear();
    payload->host_path.clear();
    payload->sha256.clear();
  }
  for (auto& file : spec.files) {
    file->name.clear();
    file->host_path.clear();
    file->sha256.clear();
  }
  for (auto& step : spec.steps) step->line = 0;
  for (auto& write : spec.bpf_map_write) write->line = 0;
}

std::string pack_plan(const VmRequest& request) {
  GuestPlanT plan;
  // What differs from run to run must not enter the guest; the collector stamps the run's id on the events.
  plan.run_id = request.determinism ? "deterministic" : request.run_id;
  plan.vm = request.vm;
  plan.attempt = request.attempt;
  plan.spec = std::make_unique<TestSpecT>(*request.spec);
  if (!request.start_scheduler) plan.spec->scheduler.reset();
  if (request.shell) plan.shell = std::make_unique<ShellPlanT>(*request.shell);
  if (request.probe_plan) plan.probe_plan = std::make_unique<ProbePlanT>(*request.probe_plan);
  plan.time_scale = static_cast<float>(request.time_scale);
  plan.verbose_console = request.verbose_console;
  plan.own_view = request.own_view;
  if (request.determinism) {
    plan.determinism = std::make_unique<DeterminismT>(*request.determinism);
    forget_host(*plan.spec);
  }
  flatbuffers::FlatBufferBuilder fbb;
  FinishGuestPlanBuffer(fbb, GuestPlan::Pack(fbb, &plan));
  return {reinterpret_cast<const char*>(fbb.GetBufferPointer()), fbb.GetSize()};
}

// What is the same for every test on this kernel: a template of a booted VM depends on nothing else.
Status add_generic(const VmRequest& request, Initramfs& archive) {
  if (auto s = archive.add_file("/init", request.program_folder + "/ktstr-init", 0755); !s) return s;
  if (auto s = archive.add_file(kGuestProbe, request.program_folder + "/ktstr-probe", 0755); !s) return s;
  const std::string config = kernel_config_of(request.kernel, request.kernel_release);
  if (config.empty()) return {};
  return archive.add_file("/boot/config-" + request.kernel_release, config, 0644);
}

// Six megabytes that would be handed to almost every test.
Status add_common_libraries(Initramfs& archive) {
  for (const ProgramFile& file : collect_common_libraries())
    if (auto s = archive.add_library(file.guest_path, file.host_path); !s) return s;
  return {};
}

Status add_test(const VmRequest& request, Initramfs& archive) {
  if (auto s = archive.add_bytes(kGuestPlan, pack_plan(request)); !s) return s;
  if (const auto& scheduler = request.spec->scheduler; scheduler && !scheduler->config_path.empty())
    if (auto s = archive.add_bytes(scheduler->config_path, scheduler->config); !s) return s;
  if (request.files && !request.files->empty()) {
    for (const auto& file : *request.files)
      if (!file.guest_path.empty())
        if (auto s = archive.add_file(file.guest_path, file.host_path, file.mode | 0500); !s) return s;
    return {};
  }
  if (const auto& scheduler = request.spec->scheduler)
    if (auto s = archive.add_program(scheduler->guest_path, scheduler->host_path); !s) return s;
  for (const auto& payload : request.spec->payloads)
    if (auto s = archive.add_program(payload->guest_path, payload->host_path); !s)
      return std::move(s).error().within("payload " + payload->name);
  for (const auto& file : request.spec->files)
    if (auto s = archive.add_test_file(file->guest_path, file->host_path); !s)
      return std::move(s).error().within("files");
  for (const auto& [guest_path, host_path] : request.programs)
    if (auto s = archive.add_test_file(guest_path, host_path); !s) return s;
  return {};
}

Status write_work(const VmRequest& request, const Initramfs& files, bool restored) {
  auto entropy = fresh_entropy();
  if (!entropy) return std::move(entropy).error();
  return write_handover(files, {.path = request.bus_folder + "/" + handover_file(request.vm),
                                .restored = restored,
                                .unix_ns = request.clock->realtime_ns(),
                                .entropy = std::move(*entropy)});
}

Result<UniqueFd> connect_to(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path))
    return Error::invalid("socket path over 107 bytes: " + path)
        .with_hint("use a run directory with a shorter path");
  path.copy(address.sun_path, path.size());
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd || ::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0)
    return Error::from_errno("connect to the collector: " + path);
  return fd;
}

QemuOptions qemu_options(const VmRequest& request) {
  QemuOptions options;
  options.qemu = request.qemu;
  std::tie(options.qemu_major, options.qemu_minor) = qemu_version_numbers(request.qemu_version);
  options.host_amd = host_cpu_is_amd();
  options.accelerator = request.accelerator;
  options.tsc_khz = request.tsc_khz;
  options.topology = *request.spec->topology;
  options.memory_mb = request.spec->memory_mb;
  options.kernel = request.kernel;
  options.initrd = request.bus_folder + "/" + vm_word(request.vm) + ".cpio";
  options.qmp_socket =
      request.bus_folder + "/qmp." + vm_word(request.vm) + "." + std::to_string(request.attempt) + ".sock";
  options.verbose_console = request.verbose_console;
  options.kernel_args = request.spec->kernel_args;
  options.qemu_args = request.qemu_args;
  options.gdb = request.gdb;
  if (options.gdb && options.gdb->socket.empty()) options.gdb->socket = request.bus_folder + "/gdb.sock";
  options.name = "ktstr-" + vm_word(request.vm) + " " + request.bus_folder;
  return options;
}

struct HowItBegan {
  std::string template_key;  // empty: it boots
  std::string note;          // why, although a template was wanted
  uint64_t began_ns = 0;     // CLOCK_MONOTONIC when QEMU was started
};

Result<RunningVm> restore(const VmRequest& request, const QemuOptions& options, const Initramfs& files,
                          HowItBegan& how) {
  if (options.accelerator != "tcg")
    return Error::unsupported("templates are made under software emulation only");
  auto found = request.templates->find(options, files, request.boot_ns);
  if (!found) return std::move(found).error();
  if (auto s = write_work(request, files, true); !s) return std::move(s).error();
  how.began_ns = request.clock->monotonic_ns();
  auto vm = restore_vm(options, found->file, request.control);
  if (!vm) {
    request.templates->give_up(found->key, vm.error().message());
    return std::move(vm).error().within("the VM was not restored from its template");
  }
  how.template_key = found->key;
  return vm;
}

Result<RunningVm> restore_or_boot(const VmRequest& request, const QemuOptions& options,
                                  const Initramfs& files, HowItBegan& how) {
  if (request.templates != nullptr && !request.gdb) {
    auto vm = restore(request, options, files, how);
    if (vm) return vm;
    how.note = vm.error().message();
    log_info("the VM boots: " + how.note);
  }
  if (auto s = write_work(request, files, false); !s) return std::move(s).error();
  how.began_ns = request.clock->monotonic_ns();
  return boot_vm(options, request.control);
}

// Cold, with everything in the initramfs: the host has no other way in.
Result<RunningVm> boot_deterministic(const VmRequest& request, QemuOptions options, const Initramfs& files,
                                     std::unique_ptr<DeterministicCarriers>& carriers) {
  // Without it QEMU runs as well, on another course now and then.
  const std::string order = request.program_folder + "/" + kOrderLibrary;
  if (::access(order.c_str(), R_OK) != 0)
    return Error::from_errno("a deterministic VM needs " + order)
        .with_hint("it is built and installed with ktstr-launch");
  if (auto s = files.write(options.initrd); !s) return std::move(s).error().within("build the initramfs");
  auto made = DeterministicCarriers::create(request.bus_folder, vm_word(request.vm), request.attempt);
  if (!made) return std::move(made).error();
  carriers = std::move(made).value();
  if (auto s = carriers->connect(request.bus_folder + "/" + console_socket(request.vm),
                                 request.bus_folder + "/" + channel_socket(request.vm));
      !s)
    return std::move(s).error();
  options.deterministic = DeterministicMachine{.seed = request.determinism->seed,
                                               .icount_shift = request.determinism->icount_shift,
                                               .console_file = carriers->console_file(),
                                               .channel_file = carriers->channel_file(),
                                               .bell_path = carriers->bell_path(),
                                               .gate_fd = carriers->gate_fd(),
                                               .turns_file = carriers->turns_file(),
                                               .order_library = order};
  return boot_vm(std::move(options));
}

}  // namespace

Result<std::unique_ptr<VmSession>> VmSession::start_deterministic(const VmRequest& request) {
  Initramfs files;
  if (auto s = add_generic(request, files); !s) return std::move(s).error().within("build the initramfs");
  if (auto s = add_test(request, files); !s) return std::move(s).error().within("the files of the VM");
  std::unique_ptr<DeterministicCarriers> carriers;
  const uint64_t began_ns = request.clock->monotonic_ns();
  auto vm = boot_deterministic(request, qemu_options(request), files, carriers);
  if (!vm) return std::move(vm).error();
  std::unique_ptr<VmSession> session(new VmSession(std::move(*vm)));
  session->facts_ = vm_started_facts(session->vm_.options, session->vm_.argv);
  session->facts_.pid = static_cast<uint32_t>(session->qemu().pid());
  session->facts_.ram_path = session->vm_.ram.path();
  session->facts_.gate_path = carriers->gate_path();
  session->facts_.began_ns = began_ns;
  session->carriers_ = std::move(carriers);
  return session;
}

Result<std::unique_ptr<VmSession>> VmSession::start(const VmRequest& request) {
  if (request.determinism) return start_deterministic(request);
  Initramfs files;
  if (auto s = add_generic(request, files); !s) return std::move(s).error().within("build the initramfs");
  if (auto s = add_common_libraries(files); !s) return std::move(s).error().within("build the initramfs");
  files.begin_handover();
  if (auto s = add_test(request, files); !s) return std::move(s).error().within("the files of the VM");

  QemuOptions options = qemu_options(request);
  // A VM that is restored does not read it, but its QEMU wants it.
  if (auto s = files.write(options.initrd); !s) return std::move(s).error().within("build the initramfs");
  // QEMU inherits the connections. A second one may take them over as long as the guest of the first did not run.
  options.console_fd = request.console_fd;
  options.channel_fd = request.channel_fd;
  UniqueFd console, channel;
  if (request.console_fd < 0 || request.channel_fd < 0) {
    auto to_console = connect_to(request.bus_folder + "/" + console_socket(request.vm));
    if (!to_console) return std::move(to_console).error();
    auto to_channel = connect_to(request.bus_folder + "/" + channel_socket(request.vm));
    if (!to_channel) return std::move(to_channel).error();
    console = std::move(*to_console);
    channel = std::move(*to_channel);
    options.console_fd = console.get();
    options.channel_fd = channel.get();
  }
  HowItBegan how;
  auto vm = restore_or_boot(request, options, files, how);
  if (!vm) return std::move(vm).error();
  std::unique_ptr<VmSession> session(new VmSession(std::move(*vm)));
  session->facts_ = vm_started_facts(session->vm_.options, session->vm_.argv);
  session->facts_.pid = static_cast<uint32_t>(session->qemu().pid());
  session->facts_.ram_path = session->vm_.ram.path();
  session->facts_.template_ = how.template_key.substr(0, kNameOfTemplate);
  session->facts_.boot_note = how.note;
  session->facts_.began_ns = how.began_ns;
  return session;
}

}  // namespace ktstr
