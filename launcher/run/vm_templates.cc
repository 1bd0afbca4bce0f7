#include "launcher/run/vm_templates.h"

#include <poll.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"

namespace ktstr {
namespace {

constexpr int kLockLookMs = 50;

}  // namespace

Result<VmTemplates::Found> VmTemplates::find(const QemuOptions& options, const Initramfs& generic,
                                             uint64_t boot_ns) {
  auto key = template_key(options, generic);
  if (!key) return std::move(key).error();
  if (auto known = given_up_.find(*key); known != given_up_.end()) return Error::invalid(known->second);
  const uint64_t ram_bytes = uint64_t{options.memory_mb} << 20;
  auto found = TemplateFile::open(store_.path(*key), *key, ram_bytes);
  if (!found) {
    if (found.error().kind() != ErrorKind::kNotFound) {
      options_.progress->say("warning: " + found.error().message() + ": a new one is made");
      store_.remove(*key);
    }
    auto made = make(options, *key, boot_ns);
    if (made) found = TemplateFile::open(store_.path(*key), *key, ram_bytes);
    if (!made || !found) {
      Error why = made ? std::move(found).error() : std::move(made).error();
      given_up_[*key] = why.message();
      return why;
    }
  }
  store_.touch(*key);
  return Found{*key, std::move(*found)};
}

Status VmTemplates::make(const QemuOptions& options, const std::string& key, uint64_t boot_ns) {
  const uint64_t begun = now_ns();
  while (!store_.has(key)) {
    auto lock = store_.try_lock(key);
    if (!lock) return std::move(lock).error();
    if (!*lock) {  // another process makes it; when that dies, the lock is free
      if (now_ns() - begun > boot_ns)
        return Error::timeout("another process makes the template, and did not end");
      pollfd stop{options_.stop_fd, POLLIN, 0};
      if (::poll(&stop, 1, kLockLookMs) > 0) return Error::timeout("interrupted");
      continue;
    }
    if (store_.has(key)) return {};
    options_.progress->step("making a template of the VM, once (" + store_.dir() + ")");
    auto made = make_template({.options = options,
                               .key = key,
                               .path = store_.draft(key),
                               .boot_ns = boot_ns,
                               .stop_fd = options_.stop_fd});
    if (!made) return std::move(made).error().within("no template could be made");
    log_info("made the template " + key + " in " + human_ns(now_ns() - begun));
    return store_.publish(key);
  }
  return {};
}

void VmTemplates::give_up(const std::string& key, const std::string& why) {
  store_.remove(key);
  given_up_[key] = why;
}

}  // namespace ktstr
