// ktstr-launch doctor: what a run needs of this host, each with the command that mends it.
#include <fmt/format.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>

#include "base/small_files.h"
#include "base/text.h"
#include "launcher/cli/command_line.h"
#include "launcher/cli/prepared_run.h"
#include "launcher/kernel/kernel_cache.h"
#include "launcher/runner/jobs.h"
#include "launcher/runner/kept_runs.h"
#include "launcher/vm/accelerator.h"
#include "launcher/vm/program_files.h"
#include "schemas/exit_code.h"

namespace ktstr {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kLittleSpace = 2ull << 30;  // a kernel, a log of a long run
constexpr uint64_t kLittleMemoryMb = 1400;     // one VM of 1 GiB

class Doctor {
 public:
  void good(const char* what, const std::string& text) { line("ok  ", what, text, ""); }
  // A run works without it.
  void poor(const char* what, const std::string& text, const std::string& mend) {
    line("poor", what, text, mend);
  }
  void bad(const char* what, const std::string& text, const std::string& mend) {
    line("BAD ", what, text, mend);
    sound_ = false;
  }
  bool sound() const { return sound_; }

 private:
  static void line(const char* state, const char* what, const std::string& text, const std::string& mend) {
    std::printf("%s  %-12s %s\n", state, what, printable(text).c_str());
    if (!mend.empty()) std::printf("      fix it:    %s\n", printable(mend).c_str());
  }
  bool sound_ = true;
};

void look_at_host(Doctor& doctor) {
  const HostInfoT host = host_info("");
  const HostRoom room = host_room();
  const std::string text = fmt::format("Linux {}, {} CPUs for this process, {} MB of memory, {} MB available",
                                       host.kernel, room.cpus, host.memory_mb, room.memory_mb);
  if (room.memory_mb < kLittleMemoryMb)
    doctor.poor("host", text, "end other programs, or give tests less: memory_mb = 512");
  else
    doctor.good("host", text);
}

void look_at_programs(Doctor& doctor) {
  std::string missing;
  for (const char* name :
       {"ktstr-collector", "ktstr-monitor", "ktstr-reproer", "ktstr-reporter", "ktstr-init", "ktstr-probe"})
    if (::access((program_folder() + "/" + name).c_str(), X_OK) != 0)
      missing += (missing.empty() ? "" : ", ") + std::string(name);
  if (missing.empty())
    doctor.good("programs", "all of ktstr's are in " + program_folder());
  else
    doctor.bad(
        "programs",
        missing + (missing.find(',') == std::string::npos ? " is" : " are") + " not in " + program_folder(),
        "./ktstr setup");
}

// Makes a file in it, as a run would.
void look_at_folder(Doctor& doctor, const char* what, const std::string& folder,
                    const std::string& variable) {
  if (folder.empty())
    return doctor.bad(what, "neither HOME nor " + variable + " is set", "export " + variable + "=/a/folder");
  std::error_code error;
  fs::create_directories(folder, error);
  const std::string probe = folder + "/doctor-" + std::to_string(::getpid());
  const auto written =
      error ? Status(Error::system(error.message())) : write_file_atomically(probe, "x", {.sync = false});
  fs::remove(probe, error);
  if (!written)
    return doctor.bad(what, folder + " cannot be written: " + written.error().message(),
                      "export " + variable + "=/a/folder/of/yours");
  struct statvfs space{};
  const uint64_t free =
      ::statvfs(folder.c_str(), &space) == 0 ? uint64_t{space.f_bavail} * space.f_frsize : 0;
  const std::string text = folder + ", " + human_bytes(free) + " free";
  if (free < kLittleSpace)
    doctor.poor(
        what, text,
        std::string("ktstr-launch runs clean --keep 10; or export ") + variable + "=/a/larger/folder");
  else
    doctor.good(what, text);
}

// The newest sound one; without a path: there is none.
KernelInfoT look_at_kernels(Doctor& doctor, const std::string& cache) {
  auto kernel = kernel_for("", cache);
  if (!kernel) {
    doctor.bad("kernels", kernel.error().message(), "ktstr-launch kernel fetch");
    return {};
  }
  if (!kernel->damaged_kfuncs.empty())
    doctor.poor("kernels",
                kernel->release + " (" + kernel->origin +
                    ") describes kfuncs wrongly: most schedulers do not load on it",
                "ktstr-launch kernel fetch");
  else
    doctor.good("kernels", kernel->release + " (" + kernel->origin + ")");
  return std::move(*kernel);
}

void look_at_machine(Doctor& doctor, const std::string& cache, const KernelInfoT& kernel) {
  auto qemu = find_qemu(env_value("KTSTR_QEMU"), env_value("PATH"));
  auto version = qemu ? qemu_version(*qemu) : Result<std::string>(qemu.error());
  if (!version)
    return doctor.bad(
        "QEMU", version.error().message(),
        env_value("KTSTR_QEMU").empty() ? "sudo apt-get install qemu-system-x86" : "unset KTSTR_QEMU");
  doctor.good("QEMU", *version + " (" + *qemu + ")");
  if (find_program("busybox", env_value("PATH")).empty())
    doctor.poor("busybox", "is not there: no shell in a VM (ktstr-launch shell)",
                "sudo apt-get install busybox-static");
  if (kernel.path.empty()) return;
  auto accelerator = choose_accelerator(
      {.wish = AcceleratorWish::kAuto,
       .qemu = *qemu,
       .kernel = kernel.path,
       .kernel_id = kernel.build_id.empty() ? kernel.release : kernel.build_id,
       .cache_dir = fs::path(cache).parent_path().string() + "/accelerator",
       .progress = [](const std::string& text) { std::fprintf(stderr, "%s\n", printable(text).c_str()); }});
  if (!accelerator)
    return doctor.bad("accelerator", accelerator.error().message(), "ktstr-launch run --accel tcg …");
  if (accelerator->name == "kvm") return doctor.good("accelerator", "kvm: " + accelerator->reason);
  const bool there = ::access("/dev/kvm", F_OK) == 0, ours = ::access("/dev/kvm", R_OK | W_OK) == 0;
  doctor.poor(
      "accelerator", "tcg (software emulation; races between CPUs need KVM): " + accelerator->reason,
      !there  ? "sudo modprobe kvm_intel || sudo modprobe kvm_amd; in a VM: switch nested virtualization on"
      : !ours ? "sudo usermod -aG kvm \"$USER\", then log in again"
              : "in a VM: switch nested virtualization on; nothing else can be done here");
}

}  // namespace

int doctor_command() {
  Doctor doctor;
  look_at_host(doctor);
  look_at_programs(doctor);
  auto cache = kernel_cache_dir();
  look_at_folder(doctor, "cache", cache ? *cache : "", "XDG_CACHE_HOME");
  look_at_folder(doctor, "kept runs", state_folder(folder_options()), "XDG_STATE_HOME");
  const KernelInfoT kernel = cache ? look_at_kernels(doctor, *cache) : KernelInfoT();
  look_at_machine(doctor, cache ? *cache : "", kernel);
  if (::access("/usr/bin/apt-get", X_OK) != 0)
    doctor.poor("kernel fetch", "there is no apt-get: kernels cannot be fetched here",
                "ktstr-launch run --kernel IMAGE …");
  return doctor.sound() ? 0 : kInfra;
}

}  // namespace ktstr
