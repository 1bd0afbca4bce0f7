#include "launcher/vm/qemu_command.h"

#include <sys/un.h>

#include <cstdlib>

#include "launcher/vm/guest_ram.h"
#include "launcher/vm/topology_args.h"
#include "schemas/channel_frame.h"
#include "schemas/gate_ports.h"
#include "schemas/run_generated.h"

namespace ktstr {
namespace {

// Parts of a boot that a test VM does without; together they take a quarter off its time (facts.md 2).
constexpr const char* kFastBoot[] = {
    "tsc=reliable", "no_timer_check",  "mitigations=off", "random.trust_cpu=on",
    "apparmor=0",   "8250.nr_uarts=1", "panic=-1",        "cryptomgr.notests"};

Status check_socket(const char* what, const std::string& path) {
  if (path.empty()) return {};
  if (path.size() >= sizeof(sockaddr_un::sun_path)) {
    return Error::invalid(std::string(what) + " socket: path over 107 bytes: " + path)
        .with_hint("use a run directory with a shorter path");
  }
  if (path.find(',') != std::string::npos)
    return Error::invalid(std::string(what) + " socket: a comma in the path: " + path);
  return {};
}

// QEMU's option syntax doubles commas in values.
std::string escape_commas(const std::string& value) {
  std::string out;
  for (char c : value) out += c == ',' ? std::string(",,") : std::string(1, c);
  return out;
}

std::string hex_port(uint16_t port) {
  char text[16];
  std::snprintf(text, sizeof text, "0x%x", port);
  return text;
}

std::vector<std::string> deterministic_args(const DeterministicMachine& m) {
  std::vector<std::string> turns;
  if (!m.turns_file.empty())
    turns = {"-chardev", "file,id=turns,path=" + escape_commas(m.turns_file), "-device",
             "isa-debugcon,chardev=turns,iobase=" + hex_port(kTurnPort)};
  // Logged after it was written: the bell rings, then the thread of all vCPUs waits at the gate.
  const std::string bell = "file,path=" + escape_commas(m.bell_path);
  std::vector<std::string> args = {
      "-icount",  "shift=" + std::to_string(m.icount_shift) + ",sleep=off,align=off",
      "-rtc",     "clock=vm,base=2026-01-01T00:00:00",
      "-seed",    std::to_string(m.seed),
      "-chardev", "file,id=console,path=" + escape_commas(m.console_file),
      "-serial",  "chardev:console",
      "-chardev", "file,id=channel,path=" + escape_commas(m.channel_file),
      "-serial",  "chardev:channel",
      "-add-fd",  "set=1,fd=" + std::to_string(m.gate_fd),
      "-chardev", bell + ",id=clock",
      "-device",  "isa-debugcon,chardev=clock,iobase=" + hex_port(kClockPort),
      "-chardev", bell + ",id=gate,logfile=/dev/fdset/1,logappend=on",
      "-device",  "isa-debugcon,chardev=gate,iobase=" + hex_port(kGatePort)};
  args.insert(args.end(), turns.begin(), turns.end());
  return args;
}

Status check_options(const QemuOptions& options) {
  if (options.kernel.empty()) return Error::invalid("no kernel image for the VM");
  if (options.accelerator != "tcg" && options.accelerator != "kvm") {
    return Error::invalid("unknown accelerator \"" + options.accelerator + "\"");
  }
  if (options.deterministic && options.accelerator != "tcg")
    return Error::invalid("a deterministic VM needs software emulation (tcg)");
  if (options.gdb && options.gdb->socket.empty()) return Error::invalid("gdb without a socket");
  if (auto s = check_socket("gdb", options.gdb ? options.gdb->socket : ""); !s) return s;
  return check_socket("QMP", options.qmp_socket);
}

}  // namespace

std::string build_kernel_cmdline(const QemuOptions& options) {
  std::string line = "console=ttyS0";
  line += options.verbose_console ? " ignore_loglevel" : " quiet";
  for (const char* word : kFastBoot) line += std::string(" ") + word;
  // An emulated guest reads the host's counter; the counter of a deterministic one follows its instructions.
  if (options.tsc_khz != 0 && options.accelerator == "tcg" && !options.deterministic)
    line += " tsc_early_khz=" + std::to_string(options.tsc_khz);
  // The event channel is the second UART (guest/init/carrier); its count overrides the one above.
  if (options.deterministic) line += " 8250.nr_uarts=2 ktstr.channel=ttyS1";
  // gdb's symbols are those of the image.
  if (!options.kaslr || options.deterministic || options.gdb) line += " nokaslr";
  for (const auto& word : options.kernel_args) line += " " + word;
  return line;
}

Result<std::vector<std::string>> build_qemu_command(const QemuOptions& options) {
  if (auto s = check_options(options); !s) return std::move(s).error();
  bool kvm = options.accelerator == "kvm";
  TopologyRequest request;
  request.topology = options.topology;
  request.memory_mb = options.memory_mb;
  request.ram_fd = options.ram_fd;
  request.kvm = kvm;
  request.host_amd = options.host_amd;
  request.qemu_major = options.qemu_major;
  request.qemu_minor = options.qemu_minor;
  auto topology = topology_args(request);
  if (!topology) return std::move(topology).error();

  std::vector<std::string> argv = {options.qemu, "-nodefaults", "-no-user-config",
                                   "-display",   "none",        "-no-reboot"};
  auto add = [&](std::initializer_list<std::string> more) { argv.insert(argv.end(), more); };
  // QEMU acts upon what the guest writes into its devices: it needs no other program and no other user.
  add({"-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"});
  // Thread names let the monitor tell vCPU threads apart: it reads their run delay.
  add({"-name", escape_commas(options.name) + ",debug-threads=on"});
  add({"-machine", topology->machine, "-accel", kvm ? "kvm" : "tcg,thread=single"});
  add({"-cpu", topology->cpu, "-smp", topology->smp, "-m", topology->memory});
  argv.insert(argv.end(), topology->more.begin(), topology->more.end());
  auto socket = [](const char* id, int fd) {
    return std::string("socket,id=") + id + ",fd=" + std::to_string(fd);
  };
  if (options.deterministic) {
    for (std::string& word : deterministic_args(*options.deterministic)) argv.push_back(std::move(word));
  } else {
    add({"-chardev",
         options.console_fd < 0 ? "stdio,id=console,signal=off" : socket("console", options.console_fd)});
    add({"-serial", "chardev:console"});
  }
  if (options.channel_fd >= 0) {
    add({"-chardev", socket("channel", options.channel_fd)});
    add({"-device", "virtio-serial-pci"});
    add({"-device", std::string("virtserialport,chardev=channel,name=") + kChannelPortName});
  }
  auto listening = [](const char* id, int fd, const std::string& path) {
    return std::string("socket,id=") + id + (fd >= 0 ? ",fd=" + std::to_string(fd) : ",path=" + path) +
           ",server=on,wait=off";
  };
  if (!options.qmp_socket.empty())
    add({"-chardev", listening("qmp", options.qmp_listener, options.qmp_socket), "-mon",
         "chardev=qmp,mode=control"});
  if (options.control_fd >= 0)
    add({"-chardev", socket("control", options.control_fd), "-mon", "chardev=control,mode=control"});
  if (options.gdb) {
    add({"-chardev", listening("gdb", options.gdb->listener, options.gdb->socket)});
    add({"-gdb", "chardev:gdb"});
    if (options.gdb->waits) add({"-S"});
  }
  if (options.incoming) add({"-incoming", "defer"});
  add({"-kernel", options.kernel});
  if (!options.initrd.empty()) add({"-initrd", options.initrd});
  add({"-append", build_kernel_cmdline(options)});
  argv.insert(argv.end(), options.qemu_args.begin(), options.qemu_args.end());
  return argv;
}

std::string shell_quote(const std::vector<std::string>& argv) {
  std::string line;
  for (const auto& word : argv) {
    bool plain = !word.empty() && word.find_first_not_of(
                                      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                      "_-+=:,./@%^") == std::string::npos;
    if (!line.empty()) line += ' ';
    if (plain) {
      line += word;
      continue;
    }
    line += '\'';
    for (char c : word) line += c == '\'' ? std::string("'\\''") : std::string(1, c);
    line += '\'';
  }
  return line;
}

Result<std::string> paste_command(const QemuOptions& options) {
  QemuOptions alone = options;
  alone.ram_fd = -1;
  alone.console_fd = alone.channel_fd = alone.control_fd = -1;
  alone.incoming = false;
  alone.qmp_socket.clear();
  alone.gdb.reset();
  alone.deterministic.reset();
  auto argv = build_qemu_command(alone);
  if (!argv) return std::move(argv).error();
  return shell_quote(*argv);
}

std::vector<int> inherited_fds(const QemuOptions& options) {
  std::vector<int> fds;
  for (int fd : {options.ram_fd, options.console_fd, options.channel_fd, options.control_fd,
                 options.qmp_listener, options.gdb ? options.gdb->listener : -1})
    if (fd >= 0) fds.push_back(fd);
  if (options.deterministic) fds.push_back(options.deterministic->gate_fd);
  return fds;
}

std::vector<std::string> qemu_environment(const QemuOptions& options) {
  if (!options.deterministic || options.deterministic->order_library.empty()) return {};
  std::string preload = options.deterministic->order_library;
  if (const char* others = std::getenv("LD_PRELOAD"); others != nullptr && *others != '\0')
    preload += std::string(":") + others;
  std::vector<std::string> env = {"LD_PRELOAD=" + preload};
  if (const std::string& turns = options.deterministic->turns_file; !turns.empty())
    env.push_back("KTSTR_QEMU_TURNS=" + std::to_string(options.deterministic->seed) + ":" + turns);
  return env;
}

VmStartedT vm_started_facts(const QemuOptions& options, const std::vector<std::string>& argv) {
  VmStartedT facts;
  facts.accelerator = options.accelerator;
  facts.cmdline = argv;
  facts.vcpus = vcpu_count(options.topology);
  facts.memory_mb = options.memory_mb;
  facts.ram_bytes = static_cast<uint64_t>(options.memory_mb) << 20;
  facts.lowmem_bytes = lowmem_bytes(facts.ram_bytes);
  facts.qmp_path = options.qmp_socket;
  if (options.gdb && options.gdb->waits) facts.gdb = options.gdb->socket;
  return facts;
}

}  // namespace ktstr
