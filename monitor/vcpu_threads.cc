#include "monitor/vcpu_threads.h"

#include <dirent.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <memory>

#include "base/text.h"
#include "schemas/monitor_generated.h"

namespace ktstr {
namespace {

constexpr size_t kMaxThreads = 1024;

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

}  // namespace

std::vector<VcpuThreadT> read_vcpu_threads(uint32_t pid, const std::string& proc) {
  std::vector<VcpuThreadT> out;
  const std::string tasks = proc + "/" + std::to_string(pid) + "/task";
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(tasks.c_str()), ::closedir);
  if (!dir) return out;
  while (const dirent* entry = ::readdir(dir.get())) {
    const std::string tid = entry->d_name;
    VcpuThreadT thread;
    if (std::from_chars(tid.data(), tid.data() + tid.size(), thread.tid).ptr != tid.data() + tid.size())
      continue;
    thread.name = printable(first_line(tasks + "/" + tid + "/comm"));
    if (!thread.name.starts_with("CPU ") && !thread.name.starts_with("ALL CPUs")) continue;
    std::ifstream schedstat(tasks + "/" + tid + "/schedstat");
    if (!(schedstat >> thread.run_ns >> thread.wait_ns)) continue;
    out.push_back(std::move(thread));
    if (out.size() == kMaxThreads) break;
  }
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.tid < b.tid; });
  return out;
}

}  // namespace ktstr
