// Attacks its host from inside a VM: a payload that takes the event channel away from ktstr-init and speaks on it, floods both
// carriers, forges what the kernel says, or resets the machine. Run by tests/e2e/hostile_test.cc.
//
//   hostile_guest frames|flood|text|reset SECONDS
//
// It is root in the guest, so nothing in the guest stops it; the host must.
#include <dirent.h>
#include <fcntl.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

#include "schemas/frame_codec.h"
#include "tests/fuzz/fuzz_kit.h"

namespace ktstr::fuzz {
namespace {

using Bytes = std::vector<uint8_t>;

bool write_all(int fd, const void* data, size_t size) {
  const char* at = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t n = ::write(fd, at, size);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (n <= 0) return false;
    at += n, size -= static_cast<size_t>(n);
  }
  return true;
}
bool write_all(int fd, const Bytes& bytes) { return write_all(fd, bytes.data(), bytes.size()); }

// A second descriptor of what init speaks to the host on; -1: not found.
int steal_channel() {
  const int init = static_cast<int>(::syscall(SYS_pidfd_open, 1, 0));
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir("/proc/1/fd"), ::closedir);
  if (init < 0 || !dir) return -1;
  while (const dirent* entry = ::readdir(dir.get())) {
    char target[256];
    const ssize_t size = ::readlinkat(::dirfd(dir.get()), entry->d_name, target, sizeof target);
    const std::string_view name(target, size > 0 ? static_cast<size_t>(size) : 0);
    if (!name.starts_with("/dev/vport") && !name.starts_with("/dev/virtio-ports/") &&
        !name.starts_with("/dev/ttyS1"))
      continue;
    const int fd = static_cast<int>(::syscall(SYS_pidfd_getfd, init, std::atoi(entry->d_name), 0));
    if (fd >= 0) return fd;
  }
  return -1;
}

Bytes frame(const Bytes& payload) {
  Bytes out;
  append_frame(payload, out);
  return out;
}

// Frames with right checksums around wrong events, and all that is no frame.
bool send_frames(int channel, std::mt19937& random) {
  static const std::vector<EventBuffer> kEvents = sample_events();
  Bytes event = input_of(kEvents[random() % kEvents.size()]);
  for (unsigned n = random() % 4; n > 0; --n) mutate(event, random);
  Bytes bytes = frame(event);
  switch (random() % 16) {
    case 0:
      bytes.resize(random() % (bytes.size() + 1));
      break;  // cut in the middle
    case 1:
      bytes[random() % bytes.size()] ^= static_cast<uint8_t>(1u << random() % 8);
      break;
    case 2:
      bytes[4 + random() % 4] ^= 0xff;
      break;  // its length
    case 3:
      bytes.assign(1 + random() % 5000, static_cast<uint8_t>(random()));
      break;
    default:
      break;
  }
  return write_all(channel, bytes);
}

// As much as both carriers take: the largest frame of zeros, and a line without an end.
bool flood(int channel, int console) {
  static const Bytes kFrame = frame(Bytes(kMaxFramePayload, 0));
  static const std::string kLine(1 << 16, 'x');
  return write_all(channel, kFrame) && write_all(console, kLine.data(), kLine.size());
}

// What a terminal would obey, and what the kernel would say of a scheduler that died.
bool forge_text(int console, int kernel_log, int trace, std::mt19937& random) {
  static constexpr std::string_view kTexts[] = {
      "\x1b]0;owned\x07\x1b[2J\x1b[8mhidden\x1b[0m\x9b"
      "31m \xe2\x80\xaereversed\n",
      "<script>alert(1)</script> ]]> & \" ' \\ %s%n\n",
      "sched_ext: BPF scheduler \"victim\" disabled (runtime error)\n",
      "sched_ext: victim: \x1b[31mnot a real exit\n",
      "   scx_exit+0x1/0x2\n",
      "BUG: kernel NULL pointer dereference, address: 0000000000000000\n",
      "Kernel panic - not syncing: not a real panic\n",
      "  R victim[1] -99999ms\n",
      "BUG SUMMARY: all is well\n",
      "--- stats ---\n",
      "::error title=owned::from the guest\n"};
  const std::string_view text = kTexts[random() % std::size(kTexts)];
  (void)!::write(kernel_log, text.data(), text.size());
  (void)!::write(trace, text.data(), text.size());
  return write_all(console, text.data(), text.size());
}

int attack(std::string_view how, double seconds) {
  const int channel = steal_channel();
  const int console = ::open("/dev/console", O_WRONLY);
  const int kernel_log = ::open("/dev/kmsg", O_WRONLY);
  const int trace = ::open("/sys/kernel/tracing/trace_marker", O_WRONLY);
  if (channel < 0 || console < 0) {
    std::fprintf(stderr, "hostile_guest: no channel or no console to attack\n");
    return 9;
  }
  std::printf("hostile_guest: attacking\n");
  std::fflush(stdout);
  std::mt19937 random(static_cast<unsigned>(seconds * 1000));
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  uint64_t rounds = 0;
  for (; std::chrono::steady_clock::now() < end; ++rounds) {
    if (how == "frames" && !send_frames(channel, random)) return 8;
    if (how == "flood" && !flood(channel, console)) return 8;
    if (how == "text" && !forge_text(console, kernel_log, trace, random)) return 8;
    if (how == "reset" && !send_frames(channel, random)) return 8;
  }
  if (how == "reset") ::reboot(RB_AUTOBOOT);
  std::printf("hostile_guest: %llu rounds\n", static_cast<unsigned long long>(rounds));
  return 0;
}

}  // namespace
}  // namespace ktstr::fuzz

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: hostile_guest frames|flood|text|reset SECONDS\n");
    return 2;
  }
  return ktstr::fuzz::attack(argv[1], std::strtod(argv[2], nullptr));
}
