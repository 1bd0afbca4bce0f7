#include "launcher/run/vm_session.h"

#include <unistd.h>

#include <tuple>

#include "launcher/kernel/kernel_resolve.h"
#include "launcher/vm/accelerator.h"
#include "launcher/vm/initramfs.h"
#include "launcher/vm/qemu_command.h"
#include "schemas/guest_paths.h"
#include "schemas/plan_generated.h"
#include "schemas/spec_generated.h"

namespace ktstr {
namespace {

std::string pack_plan(const VmRequest& request) {
  GuestPlanT plan;
  plan.run_id = request.run_id;
  plan.vm = request.vm;
  plan.attempt = request.attempt;
  plan.spec = std::make_unique<TestSpecT>(*request.spec);
  if (request.probe_plan) plan.probe_plan = std::make_unique<ProbePlanT>(*request.probe_plan);
  plan.time_scale = static_cast<float>(request.time_scale);
  plan.verbose_console = request.verbose_console;
  plan.own_view = request.own_view;
  flatbuffers::FlatBufferBuilder fbb;
  FinishGuestPlanBuffer(fbb, GuestPlan::Pack(fbb, &plan));
  return {reinterpret_cast<const char*>(fbb.GetBufferPointer()), fbb.GetSize()};
}

Status build_initramfs(const VmRequest& request, const std::string& path) {
  Initramfs archive;
  if (auto s = archive.add_file("/init", request.program_folder + "/ktstr-init", 0755); !s) return s;
  if (auto s = archive.add_file(kGuestProbe, request.program_folder + "/ktstr-probe", 0755); !s) return s;
  if (auto s = archive.add_bytes(kGuestPlan, pack_plan(request)); !s) return s;
  if (const std::string config = kernel_config_of(request.kernel, request.kernel_release); !config.empty())
    if (auto s = archive.add_file("/boot/config-" + request.kernel_release, config, 0644); !s) return s;
  if (const auto& scheduler = request.spec->scheduler; scheduler && !scheduler->config_path.empty())
    if (auto s = archive.add_bytes(scheduler->config_path, scheduler->config); !s) return s;
  if (request.files && !request.files->empty()) {
    for (const auto& file : *request.files)
      if (!file.guest_path.empty())
        if (auto s = archive.add_file(file.guest_path, file.host_path, file.mode | 0500); !s) return s;
    return archive.write(path);
  }
  if (const auto& scheduler = request.spec->scheduler)
    if (auto s = archive.add_program(scheduler->guest_path, scheduler->host_path); !s) return s;
  for (const auto& payload : request.spec->payloads)
    if (auto s = archive.add_program(payload->guest_path, payload->host_path); !s)
      return std::move(s).error().within("payload " + payload->name);
  for (const auto& file : request.spec->files)
    if (auto s = archive.add_test_file(file->guest_path, file->host_path); !s)
      return std::move(s).error().within("files");
  return archive.write(path);
}

}  // namespace

Result<std::unique_ptr<VmSession>> VmSession::boot(const VmRequest& request) {
  std::string vm_name = request.vm == Vm::Repro ? "repro" : "primary";
  std::string initrd = request.bus_folder + "/" + vm_name + ".cpio";
  if (auto s = build_initramfs(request, initrd); !s)
    return std::move(s).error().within("build the initramfs");

  uint64_t memory_mb = request.spec->memory_mb;
  auto ram = GuestRam::create(memory_mb << 20);
  if (!ram) return std::move(ram).error();
  QemuOptions options;
  options.qemu = request.qemu;
  std::tie(options.qemu_major, options.qemu_minor) = qemu_version_numbers(request.qemu_version);
  options.host_amd = host_cpu_is_amd();
  options.accelerator = request.accelerator;
  options.topology = *request.spec->topology;
  options.memory_mb = request.spec->memory_mb;
  options.ram_fd = ram->fd();
  options.kernel = request.kernel;
  options.initrd = initrd;
  options.console_socket = request.bus_folder + "/console." + vm_name + ".sock";
  options.channel_socket = request.bus_folder + "/channel." + vm_name + ".sock";
  options.qmp_socket =
      request.bus_folder + "/qmp." + vm_name + "." + std::to_string(request.attempt) + ".sock";
  options.verbose_console = request.verbose_console;
  options.kernel_args = request.spec->kernel_args;
  options.name = "ktstr-" + vm_name;
  auto argv = build_qemu_command(options);
  if (!argv) return std::move(argv).error();
  auto qemu = QemuProcess::start(*argv, {ram->fd()});
  if (!qemu) return std::move(qemu).error();
  std::unique_ptr<VmSession> session(new VmSession(std::move(ram).value(), std::move(qemu).value()));
  session->facts_ = vm_started_facts(options, *argv);
  session->facts_.pid = static_cast<uint32_t>(session->qemu_->pid());
  session->facts_.ram_path = session->ram_.path();
  return session;
}

}  // namespace ktstr
