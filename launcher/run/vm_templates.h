// The templates of one process: finds the one that a VM is restored from, makes it where there is none.
//
// Every doubt ends in a boot: no place for templates, a template that is torn, one that another process is too slow to make, a
// VM that does not come up. The reason goes into the report; what went wrong once is not tried again in this process.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "base/result.h"
#include "launcher/run/progress.h"
#include "launcher/vm/template_store.h"
#include "launcher/vm/vm_start.h"

namespace ktstr {

class VmTemplates {
 public:
  struct Options {
    std::string dir;   // of the store
    int stop_fd = -1;  // readable: the user wants the run to end
    Progress* progress = nullptr;
  };
  explicit VmTemplates(Options options) : options_(std::move(options)), store_(options_.dir) {}

  struct Found {
    std::string key;
    TemplateFile file;
  };
  // `generic`: what options.initrd holds. `boot_ns`: limit of a boot.
  Result<Found> find(const QemuOptions& options, const Initramfs& generic, uint64_t boot_ns);
  // It could not be restored: it is removed, and its VM boots from here on.
  void give_up(const std::string& key, const std::string& why);

 private:
  Status make(const QemuOptions& options, const std::string& key, uint64_t boot_ns);

  Options options_;
  TemplateStore store_;
  std::map<std::string, std::string> given_up_;  // key -> why
};

}  // namespace ktstr
