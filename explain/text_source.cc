#include "explain/text_source.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/decompress.h"
#include "base/text.h"
#include "base/unique_fd.h"
#include "explain/text_encoding.h"
#include "explain/text_line.h"
#include "scx/scx_exit_parser.h"
#include "scx/trace_frame.h"

namespace ktstr {
namespace {

constexpr size_t kBlock = 1u << 20;
constexpr size_t kHead = 256u << 10;        // what decides whether the text is reversed
constexpr size_t kMaxTextLine = 64u << 10;  // the rest of a longer line is dropped
constexpr size_t kMaxCompressedPipe = 512u << 20;

using OnLine = std::function<void(std::string_view)>;

std::string_view less_return(std::string_view line) {
  while (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

// Lines of a stream of blocks; only a line that spans blocks is copied.
class Lines {
 public:
  explicit Lines(const OnLine& on_line) : on_line_(on_line) {}
  void feed(std::string_view block) {
    while (!block.empty()) {
      const void* found = std::memchr(block.data(), '\n', block.size());
      if (!found) {
        keep(block);
        return;
      }
      const auto end = static_cast<size_t>(static_cast<const char*>(found) - block.data());
      if (part_.empty()) {
        on_line_(less_return(block.substr(0, std::min(end, kMaxTextLine))));
      } else {
        keep(block.substr(0, end));
        on_line_(less_return(part_));
        part_.clear();
      }
      block.remove_prefix(end + 1);
    }
  }
  void finish() {
    if (!part_.empty()) on_line_(less_return(part_));
    part_.clear();
  }

 private:
  void keep(std::string_view part) {
    part_.append(part.substr(0, kMaxTextLine - std::min(kMaxTextLine, part_.size())));
  }
  const OnLine& on_line_;
  std::string part_;
};

// A text that is all in memory, or mapped, from its last line to its first.
void lines_backwards(std::string_view text, const OnLine& on_line) {
  while (!text.empty()) {
    if (text.ends_with('\n')) text.remove_suffix(1);
    const size_t begin = text.rfind('\n');
    const size_t at = begin == std::string_view::npos ? 0 : begin + 1;
    on_line(less_return(text.substr(at, kMaxTextLine)));
    text = text.substr(0, at);
  }
}

// From the end of a file in blocks: a reversed log of any size in little memory.
Status file_backwards(int fd, uint64_t size, const OnLine& on_line) {
  std::string carry, block;
  uint64_t at = size;
  while (at > 0) {
    const size_t n = static_cast<size_t>(std::min<uint64_t>(kBlock, at));
    at -= n;
    block.resize(n);
    for (size_t done = 0; done < n;) {
      const ssize_t got = ::pread(fd, block.data() + done, n - done, static_cast<off_t>(at + done));
      if (got < 0) return Error::from_errno("read");
      if (got == 0) return Error::invalid("the file became shorter while it was read");
      done += static_cast<size_t>(got);
    }
    block += carry;
    const size_t first = at == 0 ? std::string::npos : block.find('\n');
    if (at != 0 && first == std::string::npos) {  // a line longer than a block: its beginning counts
      carry = block.substr(0, kMaxTextLine);
      continue;
    }
    lines_backwards(at == 0 ? std::string_view(block) : std::string_view(block).substr(first + 1), on_line);
    carry = at == 0 ? std::string() : block.substr(0, first + 1);
  }
  return {};
}

struct Mapping {
  void* at = MAP_FAILED;
  size_t size = 0;
  ~Mapping() {
    if (at != MAP_FAILED) ::munmap(at, size);
  }
};

}  // namespace

bool is_reversed(std::string_view head, TextShape shape) {
  int forward = 0, backward = 0, panic = 0, registers = 0, log = 0, insn_up = 0, insn_down = 0;
  uint64_t insn = UINT64_MAX;
  uint64_t last = 0;
  std::string previous, escapes, shaped;
  size_t lines = 0;
  while (!head.empty() && ++lines < 2000) {
    const size_t end = head.find('\n');
    shaped.clear();
    shape.feed(less_return(head.substr(0, end)), [&](std::string_view line) { shaped.assign(line); });
    head.remove_prefix(end == std::string_view::npos ? head.size() : end + 1);
    if (shaped.empty()) continue;
    const TextLine line = strip_prefixes(without_escapes(shaped, escapes));
    if (line.order != 0 && last != 0 && line.order != last) ++(line.order > last ? forward : backward);
    if (line.order != 0) last = line.order;
    const std::string text(trim(line.text));
    // What stands below what in the right order.
    auto pair = [&](bool upper_then_lower, bool lower_then_upper) {
      if (upper_then_lower) forward += 4;
      if (lower_then_upper) backward += 4;
    };
    auto disabled = [](const std::string& t) {
      const auto ops = parse_ops_line(t);
      return ops && (ops->rest.starts_with("disabled (") || ops->rest.starts_with("errored, "));
    };
    auto message = [](const std::string& t) {
      return t.starts_with("sched_ext: ") && !t.starts_with("sched_ext: BPF");
    };
    auto header = [](const std::string& t) { return t.find(" triggered exit kind ") != t.npos; };
    auto reason = [](const std::string& t) {
      return t.ends_with(")") && t.find(" (") != t.npos && t.find('=') == t.npos;
    };
    auto trace = [](const std::string& t) {
      return t == "Call Trace:" || t == "Backtrace:" || t == "<TASK>";
    };
    auto frame = [](const std::string& t) { return parse_trace_frame(t).has_value(); };
    pair(disabled(previous) && message(text), message(previous) && disabled(text));
    pair(header(previous) && reason(text), reason(previous) && header(text));
    pair(trace(previous) && frame(text), frame(previous) && trace(text));
    auto has = [](const std::string& t, const char* part) { return t.find(part) != t.npos; };
    auto fields = [&](const std::string& t) { return has(t, "scx_state/flags="); };
    auto task = [&](const std::string& t) { return t.ends_with("ms") && has(t, "] "); };
    pair(task(previous) && fields(text), fields(previous) && task(text));
    auto current = [&](const std::string& t) { return t.starts_with("curr="); };
    auto cpu = [&](const std::string& t) { return has(t, ": nr_run="); };
    pair(cpu(previous) && current(text), current(previous) && cpu(text));
    auto error = [](const std::string& t) { return t.starts_with("Error: "); };
    pair(error(previous) && text == "Caused by:", previous == "Caused by:" && error(text));
    auto counted = [&](const std::string& t) { return t.starts_with("processed ") && has(t, " insns"); };
    auto log_end = [&](const std::string& t) { return has(t, "-- END PROG LOAD LOG"); };
    pair(counted(previous) && log_end(text), log_end(previous) && counted(text));
    auto object = [&](const std::string& t) {
      return has(t, "failed to load object") || has(t, "Error loading vmlinux BTF");
    };
    auto skeleton = [&](const std::string& t) {
      return has(t, "failed to load BPF skeleton") || has(t, "Failed to load skel");
    };
    auto cause = [&](const std::string& t) { return has(t, "libbpf: ") && !skeleton(t); };
    pair((object(previous) || cause(previous)) && skeleton(text), skeleton(previous) && cause(text));
    // What comes first in every message of its sort.
    // state: 0 none was seen, 1 the first, 2 the later one, 3 both. A cut head or tail decides nothing.
    auto order = [&](bool first_one, bool later_one, int& state) {
      if (first_one && state == 2) backward += 4;
      if (later_one && state == 1) forward += 4;
      if (first_one || later_one) state = state == 0 ? (first_one ? 1 : 2) : 3;
    };
    order(has(text, "panicked at "),
          text.starts_with("note: run with ") || text == "stack backtrace:" || text == "Stack backtrace:",
          panic);
    order(text.starts_with("CPU: ") && has(text, " Comm: "),
          text.starts_with("RIP: 0010:") || text.starts_with("pc : "), registers);
    order(has(text, "-- BEGIN PROG LOAD LOG"), log_end(text), log);
    // Numbers of the verifier's instructions grow.
    // So do those of a debugger's frames: "#1  0x…".
    const size_t frame_number = text.starts_with("#") ? 1 : text.starts_with("frame #") ? 7 : 0;
    size_t digits = frame_number;
    while (digits < text.size() && is_digit(text[digits])) ++digits;
    const std::string after = text.substr(std::min(digits, text.size()));
    if (digits > frame_number && digits < frame_number + 7 &&
        (frame_number ? after.starts_with(" ") || after.starts_with(": 0x") : after.starts_with(": ("))) {
      const uint64_t number = std::strtoull(text.c_str() + frame_number, nullptr, 10);
      if (insn != UINT64_MAX && number != insn) ++(number > insn ? insn_up : insn_down);
      insn = number;
    }
    if (!text.empty()) previous = text;
  }
  // A jump back is no reversed order.
  if (insn_up + insn_down >= 3) {
    forward += insn_up;
    backward += insn_down;
  }
  return backward > 0 && backward > 2 * forward;
}

Result<TextStats> read_text(const std::string& path, const OnLine& on_plain_line) {
  TextStats stats;
  TextShape shape;
  const OnLine on_line = [&](std::string_view line) { shape.feed(line, on_plain_line); };
  UniqueFd file;
  int fd = STDIN_FILENO;
  if (path != "-") {
    file = UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file) return Error::from_errno(path);
    fd = file.get();
  }
  struct stat info{};
  if (::fstat(fd, &info) != 0) return Error::from_errno(path);
  if (S_ISDIR(info.st_mode)) return Error::invalid(path + ": is a folder");
  const bool regular = S_ISREG(info.st_mode) && ::lseek(fd, 0, SEEK_CUR) == 0;

  std::string block(kBlock, '\0');
  auto read_some = [&](char* to, size_t size) -> Result<size_t> {
    for (;;) {
      const ssize_t got = ::read(fd, to, size);
      if (got >= 0) return static_cast<size_t>(got);
      if (errno != EINTR) return Error::from_errno(path);
    }
  };
  std::string head;
  while (head.size() < kHead) {
    auto got = read_some(block.data(), std::min(kBlock, kHead - head.size()));
    if (!got) return std::move(got).error();
    if (*got == 0) break;
    head.append(block.data(), *got);
  }
  const auto bytes_of = [](std::string_view text) {
    return std::span<const uint8_t>(reinterpret_cast<const uint8_t*>(text.data()), text.size());
  };
  const bool packed = stream_kind(bytes_of(head)) != StreamKind::kNone;
  TextEncoding encoding;
  if (!packed) {
    encoding = TextEncoding::of(head);
    std::string converted(encoding.convert(head));
    head.swap(converted);
  }
  if (!packed && head.find('\0') != std::string::npos &&
      std::count(head.begin(), head.end(), '\0') > static_cast<ptrdiff_t>(head.size() / 8))
    return Error::invalid(path + ": is no text");

  if (!packed) {
    shape = TextShape::of(head);
    stats.reversed = is_reversed(head, shape);
    if (stats.reversed) shape.read_backwards();
    if (stats.reversed && regular && !encoding.changes()) {
      stats.bytes = static_cast<uint64_t>(info.st_size);
      if (auto read = file_backwards(fd, stats.bytes, on_line); !read)
        return std::move(read).error().within(path);
      return stats;
    }
    std::string held;  // reversed, and no file
    Lines lines(on_line);
    std::string_view next = head;
    for (;;) {
      stats.bytes += next.size();
      if (!stats.reversed) {
        lines.feed(next);
      } else if (held.size() + next.size() <= kMaxHeld) {
        held += next;
      } else if (stats.notes.empty()) {
        stats.notes.push_back(
            "the text is reversed and cannot be read from its end: only its first 64 MiB were read");
      }
      auto got = read_some(block.data(), kBlock);
      if (!got) return std::move(got).error();
      if (*got == 0) break;
      next = encoding.convert({block.data(), *got});
    }
    lines.finish();
    lines_backwards(held, on_line);
    shape.finish(on_plain_line);
    return stats;
  }

  Mapping mapping;
  std::span<const uint8_t> compressed;
  if (regular) {
    mapping.size = static_cast<size_t>(info.st_size);
    mapping.at = ::mmap(nullptr, mapping.size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (mapping.at == MAP_FAILED) return Error::from_errno(path);
    compressed = {static_cast<const uint8_t*>(mapping.at), mapping.size};
  } else {
    for (;;) {
      auto got = read_some(block.data(), kBlock);
      if (!got) return std::move(got).error();
      if (*got == 0) break;
      if (head.size() + *got > kMaxCompressedPipe)
        return Error::exhausted(path + ": more than 512 MiB of compressed data");
      head.append(block.data(), *got);
    }
    compressed = bytes_of(head);
  }
  auto decoder = StreamDecoder::open(compressed);
  if (!decoder) return std::move(decoder).error().within(path);
  std::string held;
  Lines lines(on_line);
  for (bool first = true;; first = false) {
    auto got = decoder->read(reinterpret_cast<uint8_t*>(block.data()), kBlock);
    if (!got) {
      if (stats.bytes == 0) return std::move(got).error().within(path);
      stats.notes.push_back("the compressed data are damaged or cut off: " + got.error().message());
      break;
    }
    if (*got == 0) break;
    if (first) encoding = TextEncoding::of({block.data(), std::min(*got, kHead)});
    const std::string_view text = encoding.convert({block.data(), *got});
    if (first) {
      shape = TextShape::of(text.substr(0, kHead));
      stats.reversed = is_reversed(text.substr(0, kHead), shape);
      if (stats.reversed) shape.read_backwards();
    }
    stats.bytes += text.size();
    if (!stats.reversed) {
      lines.feed(text);
    } else if (held.size() + text.size() <= kMaxHeld) {
      held += text;
    } else if (stats.notes.empty()) {
      stats.notes.push_back("the text is reversed and compressed: only its first 64 MiB were read");
    }
    if (stats.bytes >= kMaxDecompressed) {
      stats.notes.push_back("only the first 4 GiB of decompressed text were read");
      break;
    }
  }
  lines.finish();
  lines_backwards(held, on_line);
  shape.finish(on_plain_line);
  return stats;
}

}  // namespace ktstr
