#include "guest/probe/traceable.h"

#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <string_view>
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

Status TraceableNames::load(const std::string& path) {
  if (!names_.empty()) return {};
  std::string names;
  const bool read = each_line(path, [&](char* text) {
    names.append(text, std::strcspn(text, " \t"));
    names += '\n';
  });
  if (!read) return Error::from_errno(path);
  names_ = std::move(names);
  return {};
}

Traceable TraceableNames::among(const std::set<std::string>& wanted) const {
  Traceable out;
  const std::set<std::string_view, std::less<>> sought(wanted.begin(), wanted.end());
  for (size_t begin = 0; begin < names_.size();) {
    const size_t end = names_.find('\n', begin);
    auto it = sought.find(std::string_view(names_).substr(begin, end - begin));
    begin = end + 1;
    if (it == sought.end()) continue;
    const std::string name(*it);
    if (!out.available.insert(name).second) out.ambiguous.insert(name);
  }
  return out;
}

}  // namespace ktstr::probe
