#include "guest/probe/probe_session.h"

#include <linux/bpf.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "base/small_files.h"
#include "bpf/hits.h"
#include "schemas/guest_paths.h"
#include "schemas/limits.h"
#include "schemas/plan_generated.h"
#include "schemas/repro_generated.h"

namespace ktstr::probe {
namespace {

constexpr size_t kMaxPrograms = 512;  // more than sched_ext_ops has members, several schedulers over
constexpr int kLookAgainMs = 2;

Result<GuestPlanT> read_plan(const std::string& path) {
  auto bytes = read_binary(path, kMaxGuestPlan);
  if (!bytes) return std::move(bytes).error();
  flatbuffers::Verifier verifier(reinterpret_cast<const uint8_t*>(bytes->data()), bytes->size());
  if (!verifier.VerifyBuffer<GuestPlan>("KTGP")) return Error::invalid(path + ": not a guest plan");
  GuestPlanT plan;
  flatbuffers::GetRoot<GuestPlan>(bytes->data())->UnPackTo(&plan);
  if (plan.probe_plan)
    for (size_t i = 0; i < plan.probe_plan->targets.size(); ++i)
      if (plan.probe_plan->targets[i]->id != i)
        return Error::invalid(path + ": target ids are not their places");
  return plan;
}

}  // namespace

void ProbeSession::say(char letter) { (void)!::send(control_.get(), &letter, 1, MSG_NOSIGNAL); }

void ProbeSession::place_kernel_probes() {
  if (!plan_.probe_plan) return;
  const uint64_t start = monotonic_ns();
  auto set = ProbeSet::load(*plan_.probe_plan);
  if (set) {
    probes_ = std::move(*set);
    probes_->attach_kernel(traceable_);
  } else {
    load_error_ = set.error().message();
  }
  attach_ns_ += monotonic_ns() - start;
}

int ProbeSession::begin() {
  auto plan = read_plan(options_.plan_path);
  if (!plan) {
    std::fprintf(stderr, "ktstr-probe: %s\n", plan.error().message().c_str());
    return 2;
  }
  plan_ = std::move(*plan);
  EventHead head;
  head.run_id = plan_.run_id;
  head.source = "probe";
  head.vm = plan_.vm;
  head.attempt = plan_.attempt;
  out_.emplace(std::move(events_), head);
  place_kernel_probes();
  say('K');
  layout_.load();  // now, not while the scheduler is held
  return 0;
}

int ProbeSession::run() {
  if (options_.for_template) {
    layout_.load();
    (void)traceable_.load(traceable_list());  // tried again, and told, when it is needed
  }
  say('W');
  char word = 0;
  while (word != 'B') {
    const ssize_t n = ::recv(control_.get(), &word, 1, 0);
    if (n == 0 || (n < 0 && errno != EINTR)) return 0;
  }
  if (const int code = begin(); code != 0) return code;
  while (on_control()) {
  }
  return 0;
}

// The kernel tells nobody when a registration is over: asked again while it may not be (SchedulersFound::unregistered).
void ProbeSession::look() {
  SchedulersFound found = find_schedulers(layout_);
  const bool any = !found.programs.empty();
  if (on_registration(std::move(found.programs))) {
    send_report();
    say('P');
  }
  looking_ = !any && found.unregistered;
  if (!looking_) say('S');
}

bool ProbeSession::on_control() {
  if (looking_) {
    pollfd p{control_.get(), POLLIN, 0};
    if (::poll(&p, 1, kLookAgainMs) == 0) {
      look();
      return true;
    }
  }
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
  if (message[0] == 'E') look();
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
      if (auto data = read_btf(btf)) out_->send(std::move(*data));
    }
    out_->send(std::move(facts->program));
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
  out_->send(std::move(r));
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
    const std::vector<ReadPlan> reads = plan_all_reads(*plan_.probe_plan);
    auto send = [&](const ktstr_hit& hit, uint64_t ordinal) {
      out_->send(to_event(hit, *targets[hit.target], reads[hit.target], ordinal), hit.ns);
    };
    for (const ktstr_hit& h : c.subjects) send(h, 0);
    for (size_t i : select_hits(c, targets.size(), selection)) send(c.hits[i], i + 1);
    if (end.triggered) out_->send(to_event(c.state), c.state.ns);
  }
  end.dropped += out_->lost();
  out_->send(std::move(end));
}

}  // namespace ktstr::probe
