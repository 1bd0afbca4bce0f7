#include "guest/probe/probe_session.h"

#include <linux/bpf.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "bpf/hits.h"
#include "schemas/limits.h"
#include "schemas/plan_generated.h"
#include "schemas/repro_generated.h"

namespace ktstr::probe {
namespace {

constexpr size_t kMaxPrograms = 512;  // more than sched_ext_ops has members, several schedulers over

}  // namespace

ProbeSession::ProbeSession(GuestPlanT plan, EventOut out, UniqueFd control)
    : plan_(std::move(plan)), out_(std::move(out)), control_(std::move(control)) {}

void ProbeSession::say(char letter) { (void)!::send(control_.get(), &letter, 1, MSG_NOSIGNAL); }

void ProbeSession::place_kernel_probes() {
  if (!plan_.probe_plan) return;
  const uint64_t start = monotonic_ns();
  auto set = ProbeSet::load(*plan_.probe_plan);
  if (set) {
    probes_ = std::move(*set);
    probes_->attach_kernel();
  } else {
    load_error_ = set.error().message();
  }
  attach_ns_ += monotonic_ns() - start;
}

int ProbeSession::run() {
  place_kernel_probes();
  say('K');
  layout_.load();  // now, not while the scheduler is held
  while (on_control()) {
  }
  return 0;
}

bool ProbeSession::on_control() {
  char message[sizeof(AttachCall)] = {};
  alignas(cmsghdr) char room[CMSG_SPACE(sizeof(int))] = {};
  iovec part{message, sizeof(message)};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = room;
  header.msg_controllen = sizeof(room);
  const ssize_t n = ::recvmsg(control_.get(), &header, MSG_CMSG_CLOEXEC);
  if (n == 0 || (n < 0 && errno != EINTR)) return false;
  if (n < 0) return true;
  if (message[0] == 'L') {
    cmsghdr* c = CMSG_FIRSTHDR(&header);
    int fd = -1;
    if (c && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int)))
      std::memcpy(&fd, CMSG_DATA(c), sizeof(fd));
    listener_ = UniqueFd(fd);
  }
  if (message[0] == 'C' && n == sizeof(AttachCall)) {
    AttachCall call;
    std::memcpy(&call, message, sizeof(call));
    on_attach(call);
  }
  if (message[0] == 'E') {
    if (on_registration(registered_programs(layout_))) {
      send_report();
      say('P');
    }
    say('S');
  }
  if (message[0] == 'F' && !finished_) {
    finish();
    finished_ = true;
    say('D');
  }
  return true;
}

void ProbeSession::on_attach(const AttachCall& call) {
  const uint64_t start = monotonic_ns();
  auto ops = finished_ ? RegisteredOps() : inspect_call(call, layout_);
  // What was read belongs to the caller only if it still waits.
  uint64_t id = call.id;
  const bool waits = ::ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
  if (ops && ops->registers && waits) {
    on_registration(std::move(ops->programs));
    hold_ns_ += monotonic_ns() - start;
    send_report();
    say('P');
  }
  seccomp_notif_resp answer{};
  answer.id = call.id;
  answer.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
  ::ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_SEND,
          &answer);  // ENOENT: the caller died, or init let it go on
}

bool ProbeSession::on_registration(std::vector<HeldProgram> programs) {
  bool any_new = false;
  for (HeldProgram& held : programs) {
    if (held_.size() >= kMaxPrograms) break;
    if (std::any_of(held_.begin(), held_.end(), [&](const HeldProgram& h) { return h.id == held.id; }))
      continue;
    auto facts = read_program(held.fd.get(), held.member);
    if (!facts) continue;
    any_new = true;
    if (probes_) {
      const uint64_t start = monotonic_ns();
      probes_->attach_program(held.fd.get(), *facts);
      attach_ns_ += monotonic_ns() - start;
    }
    const uint32_t btf = facts->program.btf_id;
    if (btf && std::find(sent_btfs_.begin(), sent_btfs_.end(), btf) == sent_btfs_.end()) {
      sent_btfs_.push_back(btf);
      if (auto data = read_btf(btf)) out_.send(std::move(*data));
    }
    out_.send(std::move(facts->program));
    held_.push_back(std::move(held));
  }
  return any_new;
}

void ProbeSession::send_report() {
  if (reported_ || !plan_.probe_plan) return;
  reported_ = true;
  ProbeAttachedT r;
  if (probes_) {
    r = probes_->report();
  } else {
    for (const auto& t : plan_.probe_plan->targets) {
      auto d = std::make_unique<DroppedFrameT>();
      d->function = t->function;
      d->reason = load_error_;
      r.failed.push_back(std::move(d));
    }
  }
  r.attach_ns = attach_ns_;
  r.hold_ns = hold_ns_;
  out_.send(std::move(r));
}

void ProbeSession::finish() {
  if (!plan_.probe_plan) return;
  send_report();
  ProbeFinishedT end;
  if (probes_) {
    Capture c = probes_->capture();
    end.hits = c.taken;
    end.dropped = c.missed;
    end.cost_ns_per_hit = c.cost_ns;
    end.triggered = c.state.complete != 0;
    end.overwritten = c.overwritten;
    const auto& targets = plan_.probe_plan->targets;
    Selection selection;
    selection.history = std::clamp(plan_.probe_plan->history, 1u, kMaxReproHistory);
    for (const ktstr_hit& h : c.subjects) out_.send(to_event(h, *targets[h.target], 0), h.ns);
    for (size_t i : select_hits(c, targets.size(), selection))
      out_.send(to_event(c.hits[i], *targets[c.hits[i].target], i + 1), c.hits[i].ns);
    if (end.triggered) out_.send(to_event(c.state), c.state.ns);
  }
  end.dropped += out_.lost();
  out_.send(std::move(end));
}

}  // namespace ktstr::probe
