#include "launcher/vm/host_speed.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <optional>

#include "base/child.h"
#include "base/small_files.h"
#include "base/text.h"

namespace ktstr {
namespace {

using Clock = std::chrono::steady_clock;

constexpr uint32_t kRounds = 60'000'000;
constexpr auto kLimit = std::chrono::seconds(20);
// What the loop took on the machine that the deadlines were made for: an idle one that emulates (TCG), 2
// cores of 2.6 GHz.
constexpr double kReferenceNs = 1.075 * kRounds;

class RomFile {
 public:
  explicit RomFile(const std::string& folder)
      : path_(folder + "/speed-" + std::to_string(::getpid()) + ".rom") {}
  ~RomFile() {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }
  const std::string& path() const { return path_; }
  Status write() {
    std::error_code ignored;
    std::filesystem::create_directories(std::filesystem::path(path_).parent_path(), ignored);
    return write_file_atomically(path_, speed_rom(kRounds), {.sync = false});
  }

 private:
  std::string path_;
};

// Reads until `letter` comes; nullopt at the end of the file or of the time.
std::optional<Clock::time_point> when(int fd, char letter, Clock::time_point limit) {
  while (true) {
    auto left = std::chrono::duration_cast<std::chrono::milliseconds>(limit - Clock::now()).count();
    pollfd ready{fd, POLLIN, 0};
    if (left <= 0 || ::poll(&ready, 1, static_cast<int>(left)) <= 0) return std::nullopt;
    char c = 0;
    if (::read(fd, &c, 1) != 1) return std::nullopt;
    if (c == letter) return Clock::now();
  }
}

}  // namespace

std::string speed_rom(uint32_t rounds) {
  std::string rom(64 << 10, '\xf4');  // hlt
  std::string code;
  auto add = [&](std::initializer_list<int> bytes) {
    for (int byte : bytes) code += static_cast<char>(byte);
  };
  auto say = [&](char letter) { add({0xb0, letter, 0xe6, 0xe9}); };  // mov al, letter; out 0xe9, al
  add({0xfa});                                                       // cli
  say('A');
  add({0x66, 0xb9});  // mov ecx, rounds
  for (int shift = 0; shift < 32; shift += 8) code += static_cast<char>(rounds >> shift & 0xff);
  const size_t loop = code.size();
  add({0x66, 0x69, 0xc0, 0x0d, 0x66, 0x19, 0x00});                          // imul eax, eax, 1664525
  add({0x66, 0x40});                                                        // inc eax
  add({0x66, 0x49});                                                        // dec ecx
  add({0x75, static_cast<int>(loop) - static_cast<int>(code.size()) - 2});  // jnz loop
  say('B');
  add({0xb0, 0x00, 0xe6, 0xf4, 0xf4, 0xeb, 0xfe});  // out 0xf4, 0 (isa-debug-exit); hlt; jmp $
  rom.replace(0, code.size(), code);
  const char reset[] = {'\xea', 0, 0, 0, '\xf0'};  // jmp f000:0000, where the CPU starts
  rom.replace(0xfff0, sizeof reset, reset, sizeof reset);
  return rom;
}

Result<HostSpeedFact> measure_host_speed(const HostSpeedRequest& request) {
  RomFile rom(request.folder);
  if (auto written = rom.write(); !written) return std::move(written).error();
  int out[2];
  if (::pipe2(out, O_CLOEXEC) != 0) return Error::from_errno("pipe");
  UniqueFd reading(out[0]), writing(out[1]);
  UniqueFd null(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  const std::string accel = request.accelerator == "tcg" ? "tcg,thread=single" : request.accelerator;
  auto qemu = Child::spawn({.argv = {request.qemu,
                                     "-nodefaults",
                                     "-no-user-config",
                                     "-display",
                                     "none",
                                     "-machine",
                                     "pc",
                                     "-accel",
                                     accel,
                                     "-m",
                                     "16",
                                     "-no-reboot",
                                     "-bios",
                                     rom.path(),
                                     "-chardev",
                                     "stdio,id=out,signal=off",
                                     "-device",
                                     "isa-debugcon,iobase=0xe9,chardev=out",
                                     "-device",
                                     "isa-debug-exit,iobase=0xf4,iosize=1"},
                            .stdout_fd = writing.get(),
                            .stderr_fd = null.get()});
  if (!qemu) return std::move(qemu).error();
  writing.reset();
  const auto limit = Clock::now() + kLimit;
  auto begin = when(reading.get(), 'A', limit);
  auto end = begin ? when(reading.get(), 'B', limit) : std::nullopt;
  qemu->terminate(std::chrono::milliseconds(500));
  if (!begin) return Error::system("the speed test's machine did not start");
  if (!end) return Error::timeout("the speed test's machine did not end within 20 s");
  const double ns = std::max(1.0, static_cast<double>(std::chrono::nanoseconds(*end - *begin).count()));
  HostSpeedFact fact;
  fact.speed = kReferenceNs / ns;
  fact.note = "60 M rounds of a guest's loop took " + human_ns(static_cast<uint64_t>(ns));
  return fact;
}

}  // namespace ktstr
