#include "launcher/shell/kept_lines.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/text.h"
#include "scx/kernel_fault_heads.h"
#include "scx/scx_exit_parser.h"

namespace ktstr {

Status KeptLines::open(const std::string& path) {
  fd_ = UniqueFd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  return fd_ ? Status() : Status(Error::from_errno(path));
}

void KeptLines::add(std::string_view line) {
  if (heads_.size() < kMaxHeads && parse_fault_head(split_stamp(line).text))
    heads_.push_back({last_.total(), std::string(line.substr(0, kMaxKeptLineBytes))});
  last_.push(line);
  if (!fd_ || bytes_ > kMaxFile) return;
  const std::string text = std::string(line) + "\n";
  bytes_ += text.size();
  if (::write(fd_.get(), text.data(), text.size()) < 0) fd_.reset();
}

std::string KeptLines::shown() const {
  std::string text;
  const auto last = last_.lines();
  const uint64_t first = last_.total() - last.size();
  bool gap = false;
  for (const Head& head : heads_) {
    if (head.number >= first) break;
    text += "\n  " + printable(head.line);
    gap = gap || head.number + 1 < first;
  }
  if (gap) text += "\n  …";
  for (std::string_view line : last) text += "\n  " + printable(line);
  return text;
}

}  // namespace ktstr
