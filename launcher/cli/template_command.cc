// ktstr-launch template list | clean
#include <cstdio>
#include <cstdlib>
#include <ctime>

#include "launcher/cli/command_line.h"
#include "launcher/vm/template_store.h"
#include "schemas/exit_code.h"

namespace ktstr {
namespace {

Result<TemplateStore> open_store() {
  auto dir = TemplateStore::default_dir([](const char* name) { return std::getenv(name); });
  if (!dir) return std::move(dir).error();
  return TemplateStore(*dir);
}

double mb(uint64_t bytes) { return static_cast<double>(bytes) / 1e6; }

}  // namespace

int template_list_command() {
  auto store = open_store();
  if (!store) return report_error(store.error(), exit_code(ExitCode::kUsage));
  for (const StoredTemplate& one : store->list()) {
    const auto used = static_cast<time_t>(one.used_unix_s);
    tm when{};
    char text[32];
    ::localtime_r(&used, &when);
    std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &when);
    std::printf("%.12s  %6.1f MB  used %s\n", one.key.c_str(), mb(one.bytes), text);
  }
  return 0;
}

int template_clean_command() {
  auto store = open_store();
  if (!store) return report_error(store.error(), exit_code(ExitCode::kUsage));
  std::printf("%.1f MB freed in %s\n", mb(store->clean()), store->dir().c_str());
  return 0;
}

}  // namespace ktstr
