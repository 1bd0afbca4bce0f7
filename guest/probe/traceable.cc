#include "guest/probe/traceable.h"

#include <cstdio>
#include <cstring>
#include <memory>
#include <vector>

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

}  // namespace ktstr::probe
