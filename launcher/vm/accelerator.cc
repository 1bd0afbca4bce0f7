#include "launcher/vm/accelerator.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/child.h"
#include "base/json.h"
#include "base/small_files.h"
#include "base/text.h"
#include "launcher/vm/qemu_process.h"
#include "schemas/run_generated.h"

namespace ktstr {
namespace {

namespace fs = std::filesystem;
using json = Json;
using Clock = std::chrono::steady_clock;

constexpr char kGuestIsAlive[] = "Linux version ";
// What QEMU or KVM print when the virtual CPU cannot go on.
constexpr const char* kDeathCries[] = {"KVM internal error", "KVM: entry failed", "kvm run failed",
                                       "failed to initialize kvm", "Could not access KVM"};

// Does a guest run under KVM, and why that is thought.
struct Verdict {
  bool runs = false;
  std::string reason;
};

// Empty: it can be opened.
std::string why_kvm_cannot_be_opened(const std::string& device) {
  int fd = ::open(device.c_str(), O_RDWR | O_CLOEXEC);
  if (fd >= 0) {
    ::close(fd);
    return "";
  }
  if (errno == ENOENT) return device + " is not there: no hardware virtualization on this host";
  if (errno == EACCES || errno == EPERM) return device + " may not be opened by this user (group kvm)";
  return device + " cannot be opened: " + std::strerror(errno);
}

std::vector<std::string> probe_command(const AcceleratorRequest& request) {
  return {request.qemu,
          "-nodefaults",
          "-no-user-config",
          "-display",
          "none",
          "-no-reboot",
          "-name",
          "ktstr-kvm-probe",
          "-machine",
          "q35",
          "-accel",
          "kvm",
          "-cpu",
          "max",
          "-smp",
          "1",
          "-m",
          "256M",
          "-serial",
          "stdio",
          "-kernel",
          request.kernel,
          "-append",
          "console=ttyS0 earlyprintk=serial,ttyS0,115200 panic=-1"};
}

// QEMU's last line, without its own name and of a length for one line.
std::string last_word(const QemuProcess& qemu) {
  auto tail = qemu.output_tail();
  if (tail.empty()) return "";
  std::string line = printable(tail.back());
  static constexpr std::string_view kName = "qemu-system-x86_64: ";
  if (line.starts_with(kName)) line.erase(0, kName.size());
  return ": " + (line.size() > 120 ? line.substr(0, 120) + "..." : line);
}

Result<Verdict> try_guest(const AcceleratorRequest& request) {
  auto started = QemuProcess::start(probe_command(request), {});
  if (!started) return std::move(started).error();
  QemuProcess& qemu = **started;
  std::string output, opens = request.kvm_device + " opens but a guest does not run (";
  auto begin = Clock::now();
  auto deadline = begin + std::chrono::milliseconds(request.timeout_ms);
  for (;;) {
    bool ended = qemu.try_reap().has_value();
    qemu.drain_output(&output);
    if (output.find(kGuestIsAlive) != std::string::npos) {
      auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - begin).count();
      qemu.kill_and_reap();
      return Verdict{true, "a guest runs under KVM (first output after " + std::to_string(ms) + " ms)"};
    }
    for (const char* cry : kDeathCries) {
      if (output.find(cry) != std::string::npos) return Verdict{false, opens + cry + ")"};
    }
    if (ended) return Verdict{false, opens + "QEMU ended" + last_word(qemu) + ")"};
    if (output.size() > (1u << 20)) output.erase(0, output.size() / 2);
    auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0)
      return Verdict{false, opens + "no output in " + std::to_string(request.timeout_ms / 1000) + " s)"};
    pollfd fds[2] = {{qemu.pidfd(), POLLIN, 0}, {qemu.output_fd(), POLLIN, 0}};
    ::poll(fds, qemu.output_fd() >= 0 ? 2 : 1, static_cast<int>(left));
  }
}

// Verdicts of this boot of the host, in one small file. Not knowing is never an error: then a guest is tried.
class Memory {
 public:
  Memory(const AcceleratorRequest& request, const std::string& version) : dir_(request.cache_dir) {
    boot_id_ = read_text_or("/proc/sys/kernel/random/boot_id", "");
    key_ = version + " | " + request.kernel_id;
  }

  std::optional<Verdict> recall() const {
    json all = load();
    auto it = all["verdicts"].find(key_);
    if (it == all["verdicts"].end() || !it->is_object()) return std::nullopt;
    auto runs = it->find("runs"), reason = it->find("reason");
    if (runs == it->end() || reason == it->end() || !runs->is_boolean() || !reason->is_string())
      return std::nullopt;
    return Verdict{runs->get<bool>(), printable(reason->get<std::string>())};
  }

  void keep(const Verdict& verdict) const {
    if (dir_.empty() || boot_id_.empty()) return;
    std::error_code ec;
    fs::create_directories(dir_, ec);
    json all = load();
    all["verdicts"][key_] = {{"runs", verdict.runs}, {"reason", verdict.reason}};
    // Only a cache: what is not kept is tried again.
    (void)write_file_atomically(file(), json_text(all, 2) + "\n", {.sync = false}).ok();
  }

 private:
  std::string file() const { return dir_ + "/accelerator.json"; }

  json load() const {
    json none = {{"boot_id", boot_id_}, {"verdicts", json::object()}};
    if (dir_.empty()) return none;
    json all = parse_json_file(file());
    bool usable = all.is_object() && all.contains("boot_id") && all["boot_id"] == boot_id_ &&
                  all.contains("verdicts") && all["verdicts"].is_object();
    return usable ? all : none;
  }

  std::string dir_, boot_id_, key_;
};

AcceleratorInfoT info(const char* name, const std::string& reason) {
  AcceleratorInfoT accelerator;
  accelerator.name = name;
  accelerator.reason = reason;
  return accelerator;
}

Result<AcceleratorInfoT> conclude(AcceleratorWish wish, const Verdict& verdict) {
  if (verdict.runs) return info("kvm", verdict.reason);
  if (wish == AcceleratorWish::kAuto) return info("tcg", verdict.reason);
  return Error::unsupported("--accel kvm: " + verdict.reason)
      .with_hint(
          "use --accel auto or --accel tcg, or run where KVM works (nested virtualization on, user in group "
          "kvm)");
}

}  // namespace

Result<AcceleratorWish> parse_accelerator(const std::string& text) {
  if (text == "auto" || text.empty()) return AcceleratorWish::kAuto;
  if (text == "kvm") return AcceleratorWish::kKvm;
  if (text == "tcg") return AcceleratorWish::kTcg;
  return Error::invalid("unknown accelerator \"" + text + "\"").with_hint("one of auto, kvm, tcg");
}

Result<AcceleratorInfoT> choose_accelerator(const AcceleratorRequest& request) {
  if (request.wish == AcceleratorWish::kTcg) return info("tcg", "asked for with --accel tcg");
  std::string closed = why_kvm_cannot_be_opened(request.kvm_device);
  if (!closed.empty()) return conclude(request.wish, {false, closed});

  auto version = qemu_version(request.qemu);
  if (!version) return std::move(version).error();
  Memory memory(request, *version);
  if (!request.forget) {
    if (auto known = memory.recall()) {
      known->reason += ", tried earlier since this host booted";
      return conclude(request.wish, *known);
    }
  }
  if (request.progress) {
    request.progress("trying whether a guest runs under KVM (at most " +
                     std::to_string(request.timeout_ms / 1000) + " s)");
  }
  auto verdict = try_guest(request);
  if (!verdict) return std::move(verdict).error();
  memory.keep(*verdict);
  return conclude(request.wish, *verdict);
}

Result<std::string> find_qemu(const std::string& override, const std::string& path_variable) {
  if (!override.empty()) {
    if (::access(override.c_str(), X_OK) == 0) return override;
    return Error::not_found("QEMU at " + override + ": " + std::strerror(errno))
        .with_hint("unset KTSTR_QEMU to search PATH");
  }
  std::istringstream dirs(path_variable);
  for (std::string dir; std::getline(dirs, dir, ':');) {
    std::string path = (dir.empty() ? "." : dir) + "/qemu-system-x86_64";
    struct stat st;
    if (::stat(path.c_str(), &st) == 0 && S_ISREG(st.st_mode) && ::access(path.c_str(), X_OK) == 0)
      return path;
  }
  return Error::not_found("qemu-system-x86_64 is not in PATH").with_hint("apt-get install qemu-system-x86");
}

Result<std::string> qemu_version(const std::string& qemu) {
  ChildOptions options;
  options.argv = {qemu, "--version"};
  auto run = run_captured(options, std::chrono::seconds(20));
  if (!run) return std::move(run).error().within(qemu + " --version");
  static constexpr std::string_view kPrefix = "QEMU emulator version ";
  std::string line = printable(run->out.substr(0, run->out.find('\n')));
  if (!run->exit.clean() || !line.starts_with(kPrefix))
    return Error::system(qemu + " --version: does not run: " + line);
  return line.substr(kPrefix.size());
}

std::pair<int, int> qemu_version_numbers(const std::string& version) {
  int major = 0, minor = 0;
  std::sscanf(version.c_str(), "%d.%d", &major, &minor);
  return {major, minor};
}

bool host_cpu_is_amd() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("vendor_id"))
      return line.find("AuthenticAMD") != std::string::npos || line.find("HygonGenuine") != std::string::npos;
  }
  return false;
}

}  // namespace ktstr
