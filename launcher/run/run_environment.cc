#include "launcher/run/run_environment.h"

namespace ktstr {

VmRequest vm_request(const RunEnvironment& environment) {
  VmRequest request;
  request.run_id = environment.folders.run_id;
  request.program_folder = environment.program_folder;
  request.qemu = environment.qemu;
  request.qemu_version = environment.host.qemu;
  request.accelerator = environment.accelerator.name;
  request.tsc_khz = environment.tsc_khz;
  request.kernel = environment.kernel.path;
  request.kernel_release = environment.kernel.release;
  request.clock = environment.clock;
  request.verbose_console = environment.verbose_console;
  request.templates = environment.templates;
  request.qemu_args = environment.qemu_args;
  return request;
}

}  // namespace ktstr
