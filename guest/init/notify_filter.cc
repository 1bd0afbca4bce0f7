#include "guest/init/notify_filter.h"

#include <linux/audit.h>
#include <linux/bpf.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace ktstr::guest {

std::vector<sock_filter> notify_filter() {
  // Low half of args[0]: commands are small, and the kernel takes an int.
  constexpr uint32_t kArg0 = offsetof(seccomp_data, args[0]);
  return {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 5),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_bpf, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kArg0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, BPF_LINK_CREATE, 2, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, BPF_MAP_UPDATE_ELEM, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
  };
}

int install_notify_filter(const std::vector<sock_filter>& program) {
  sock_fprog prog{static_cast<unsigned short>(program.size()), const_cast<sock_filter*>(program.data())};
  return static_cast<int>(
      ::syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &prog));
}

bool continue_one(int listener) {
  // The kernel may know larger records than these headers: the spare room keeps it from writing past them.
  alignas(8) char room[sizeof(seccomp_notif) + 256];
  std::memset(room, 0, sizeof(room));
  auto* request = reinterpret_cast<seccomp_notif*>(room);
  if (::ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, request) != 0) return false;
  seccomp_notif_resp answer{};
  answer.id = request->id;
  answer.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
  ::ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);  // ENOENT: the caller died meanwhile
  return true;
}

}  // namespace ktstr::guest
