#include "reproer/guest/traceable.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>

namespace ktstr::probe {
namespace {

struct CloseFile {
  void operator()(std::FILE* f) const { std::fclose(f); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

// Calls `line` with each line, less its end. Lines over 512 bytes are cut.
template <typename F>
bool each_line(const std::string& path, F line) {
  File f(std::fopen(path.c_str(), "re"));
  if (!f) return false;
  std::vector<char> buffer(1 << 16);
  std::setvbuf(f.get(), buffer.data(), _IOFBF, buffer.size());
  char text[512];
  while (std::fgets(text, sizeof(text), f.get())) {
    text[std::strcspn(text, "\n")] = 0;
    line(text);
  }
  return true;
}

}  // namespace

Result<Traceable> read_traceable(const std::string& path, const std::set<std::string>& wanted) {
  Traceable out;
  const bool read = each_line(path, [&](char* text) {
    text[std::strcspn(text, " \t")] = 0;
    auto it = wanted.find(text);
    if (it != wanted.end() && !out.available.insert(*it).second) out.ambiguous.insert(*it);
  });
  if (!read) return Error::from_errno(path);
  return out;
}

std::vector<std::string> symbolize(const std::string& kallsyms_path, const std::vector<uint64_t>& addresses) {
  struct Nearest {
    uint64_t start = 0, next = UINT64_MAX;
    std::string name;
  };
  std::vector<Nearest> nearest(addresses.size());
  each_line(kallsyms_path, [&](char* text) {
    char* end = nullptr;
    const uint64_t start = std::strtoull(text, &end, 16);
    if (start == 0 || end == text || std::strlen(end) < 4) return;
    char* name = end + 3;  // " T NAME\t[module]"
    for (size_t i = 0; i < addresses.size(); ++i) {
      Nearest& n = nearest[i];
      if (start > addresses[i]) {
        n.next = std::min(n.next, start);
      } else if (start > n.start) {
        n.start = start;
        n.name.assign(name, std::strcspn(name, " \t"));
      }
    }
  });
  std::vector<std::string> out;
  for (size_t i = 0; i < addresses.size(); ++i) {
    const Nearest& n = nearest[i];
    char text[64];
    if (n.name.empty() || addresses[i] - n.start > (1u << 20)) {
      std::snprintf(text, sizeof(text), "0x%llx", static_cast<unsigned long long>(addresses[i]));
      out.push_back(text);
      continue;
    }
    std::snprintf(text, sizeof(text), "+0x%llx/0x%llx", static_cast<unsigned long long>(addresses[i] - n.start),
                  static_cast<unsigned long long>(n.next == UINT64_MAX ? 0 : n.next - n.start));
    out.push_back(n.name + text);
  }
  return out;
}

}  // namespace ktstr::probe
