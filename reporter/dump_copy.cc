// The idea: as in a diff, the longest common block is taken first, then the longest ones before and after it, in the
// order of both texts. So a task's backtrace that only the log holds is not taken for the equal backtrace of another
// task. A block is found by its rare lines and grows over the common ones. A log may hold several copies: what lies
// outside of one is searched again against the whole dump, and then a block needs a line that begins a CPU, a task
// or the dump itself. Tests: DumpCopy.* in dump_copy_test.cc.
#include "reporter/dump_copy.h"

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/text.h"
#include "scx/scx_dump.h"

namespace ktstr {
namespace {

constexpr size_t kMinLines = 4;     // a shorter copy is printed: the line in its place would save too little
constexpr size_t kMaxPrefix = 128;  // bytes
constexpr size_t kMaxReadings = 4;  // of a line
constexpr size_t kRareLine = 4;     // so often in the dump at most
constexpr uint32_t kNone = UINT32_MAX;
// Looks at a line of the log that is also one of the dump. A real log and its copies need some thousands; what is not found when
// they are spent stays printed.
constexpr uint64_t kMostLooks = 20'000'000;

// Where a text may begin behind a prefix: not within a word.
bool may_begin(std::string_view line, size_t at) {
  const auto word = [](char c) {
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  return at == 0 || !word(line[at - 1]) || !word(line[at]);
}

// What the prefixes of one logger have in common: all but the digits, and blanks that align them.
std::string shape_of(std::string_view prefix) {
  std::string shape;
  for (size_t i = 0; i < prefix.size(); ++i) {
    if (!is_digit(prefix[i])) {
      shape += prefix[i];
      continue;
    }
    while (!shape.empty() && shape.back() == ' ') shape.pop_back();
    shape += '0';
    while (i + 1 < prefix.size() && is_digit(prefix[i + 1])) ++i;
  }
  return shape;
}

std::string_view without_end_blanks(std::string_view text) {
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

uint64_t hash_before(char c, uint64_t rest) {
  return (rest + static_cast<unsigned char>(c) + 1) * 0x9e3779b97f4a7c15u;
}

struct Block {
  size_t log = 0, dump = 0, lines = 0;
  uint32_t shape = 0;
};

class CopySearch {
 public:
  CopySearch(std::span<const std::string> log, std::span<const std::string> dump) : log_(log), dump_(dump) {
    read_dump();
    read_log();
  }

  std::vector<DumpCopy> copies() {
    find_copies(0, log_.size());
    std::sort(blocks_.begin(), blocks_.end(), [](const Block& a, const Block& b) { return a.log < b.log; });
    std::vector<DumpCopy> out;
    for (const Block& block : blocks_) out.push_back(copy_of(block));
    return out;
  }

 private:
  // A line of the log as a line of the dump behind a prefix.
  struct Reading {
    uint32_t text, shape;
    size_t prefix;  // bytes
  };
  struct Seed {
    size_t log, dump;
    uint32_t shape;
  };

  void read_dump() {
    ScxDump grammar;
    size_t heads = 0;
    heads_before_.push_back(0);
    for (size_t j = 0; j < dump_.size(); ++j) {
      const std::string& line = dump_[j];
      text_.push_back(kNone);
      if (!line.empty() && line != kNoLine) {
        uint64_t hash = 0;
        for (size_t i = line.size(); i > 0; --i) hash = hash_before(line[i - 1], hash);
        const auto [it, added] = text_by_hash_.try_emplace(hash, static_cast<uint32_t>(places_.size()));
        if (added) places_.emplace_back();
        // Of two texts with one hash the second is no line of the dump: it stays printed.
        if (added || dump_[places_[it->second].front()] == line) {
          text_[j] = it->second;
          places_[it->second].push_back(j);
        }
      }
      grammar.feed(line);
      const size_t now = grammar.cpus().size() + grammar.total_tasks() + (grammar.peek_exit() ? 1 : 0);
      heads_before_.push_back(heads_before_.back() + (now > heads ? 1 : 0));
      heads = now;
    }
  }

  void read_log() {
    readings_.resize(log_.size());
    for (size_t i = 0; i < log_.size(); ++i) {
      const std::string_view line = log_[i];
      std::vector<Reading>& readings = readings_[i];
      uint64_t hash = 0;
      for (size_t at = line.size(); at-- > 0;) {
        hash = hash_before(line[at], hash);
        if (at > kMaxPrefix || !may_begin(line, at)) continue;
        const auto found = text_by_hash_.find(hash);
        if (found == text_by_hash_.end() || dump_[places_[found->second].front()] != line.substr(at))
          continue;
        readings.push_back({found->second, 0, at});
      }
      // The shortest prefixes.
      std::reverse(readings.begin(), readings.end());
      if (readings.size() > kMaxReadings) readings.resize(kMaxReadings);
      for (Reading& reading : readings) reading.shape = shape_id(shape_of(line.substr(0, reading.prefix)));
      for (const Reading& reading : readings) {
        const std::vector<size_t>& places = places_[reading.text];
        if (places.size() > kRareLine) continue;
        for (const size_t j : places) seeds_.push_back({i, j, reading.shape});
      }
    }
    for (const std::string& line : log_) {
      const auto found = line.size() > kMaxPrefix
                             ? bare_by_shape_.end()
                             : bare_by_shape_.find(std::string(without_end_blanks(shape_of(line))));
      bare_.push_back(found == bare_by_shape_.end() ? kNone : found->second);
    }
  }

  uint32_t shape_id(std::string shape) {
    const auto [bare, fresh] = bare_by_shape_.try_emplace(std::string(without_end_blanks(shape)),
                                                          static_cast<uint32_t>(bare_by_shape_.size()));
    const auto [it, added] = shapes_.try_emplace(std::move(shape), static_cast<uint32_t>(bare_of_.size()));
    if (added) bare_of_.push_back(bare->second);
    return it->second;
  }

  bool same(size_t i, size_t j, uint32_t shape) const {
    if (dump_[j].empty()) return bare_[i] == bare_of_[shape];  // a prefix, and nothing behind it
    return reading(i, j, shape) != nullptr;
  }

  const Reading* reading(size_t i, size_t j, uint32_t shape) const {
    if (text_[j] == kNone) return nullptr;
    for (const Reading& r : readings_[i])
      if (r.text == text_[j] && r.shape == shape) return &r;
    return nullptr;
  }

  // The first of the longest blocks in these parts of both; no lines: there is none of kMinLines.
  Block longest(size_t l0, size_t l1, size_t d0, size_t d1, bool needs_head) {
    if (blocks_.size() >= kMaxDumpCopies) return {};
    Block best;
    std::unordered_map<uint64_t, size_t> looked_to;  // of a diagonal and shape: the line of the log
    auto seed = std::lower_bound(seeds_.begin(), seeds_.end(), l0,
                                 [](const Seed& s, size_t line) { return s.log < line; });
    for (; seed != seeds_.end() && seed->log < l1; ++seed) {
      if (++looks_ > kMostLooks) return {};
      if (seed->dump < d0 || seed->dump >= d1) continue;
      size_t& to = looked_to[(seed->log + dump_.size() - seed->dump) << 32 | seed->shape];
      if (seed->log < to) continue;
      Block block{seed->log, seed->dump, 1, seed->shape};
      while (block.log > l0 && block.dump > d0 && same(block.log - 1, block.dump - 1, block.shape)) {
        --block.log;
        --block.dump;
        ++block.lines;
      }
      while (block.log + block.lines < l1 && block.dump + block.lines < d1 &&
             same(block.log + block.lines, block.dump + block.lines, block.shape))
        ++block.lines;
      to = block.log + block.lines;
      const size_t heads = heads_before_[block.dump + block.lines] - heads_before_[block.dump];
      if (block.lines > best.lines && (heads > 0 || !needs_head)) best = block;
    }
    return best.lines >= kMinLines ? best : Block{};
  }

  bool take(const Block& block) {
    if (block.lines == 0 || blocks_.size() >= kMaxDumpCopies) return false;
    blocks_.push_back(block);
    return true;
  }

  // The blocks of one copy between two of its blocks, in the order of both texts.
  void fill(size_t l0, size_t l1, size_t d0, size_t d1) {
    if (l0 >= l1 || d0 >= d1) return;
    const Block block = longest(l0, l1, d0, d1, false);
    if (!take(block)) return;
    fill(l0, block.log, d0, block.dump);
    fill(block.log + block.lines, l1, block.dump + block.lines, d1);
  }

  void find_copies(size_t l0, size_t l1) {
    if (l0 >= l1) return;
    const Block block = longest(l0, l1, 0, dump_.size(), true);
    const size_t before = blocks_.size();
    if (!take(block)) return;
    // A copy reaches no farther than its missing lines and as much again between them: there another one begins.
    const size_t log_end = block.log + block.lines, dump_end = block.dump + block.lines;
    const auto reach = [](size_t missing) { return 2 * missing + 64; };
    fill(block.log - std::min(block.log - l0, reach(block.dump)), block.log, 0, block.dump);
    fill(log_end, std::min(l1, log_end + reach(dump_.size() - dump_end)), dump_end, dump_.size());
    size_t first = block.log, last = log_end;
    for (size_t i = before; i < blocks_.size(); ++i) {
      first = std::min(first, blocks_[i].log);
      last = std::max(last, blocks_[i].log + blocks_[i].lines);
    }
    find_copies(l0, first);
    find_copies(last, l1);
  }

  DumpCopy copy_of(const Block& block) const {
    DumpCopy copy{
        .log = block.log, .dump = block.dump, .lines = block.lines, .first_prefix = {}, .last_prefix = {}};
    bool first = true;
    for (size_t k = 0; k < block.lines; ++k) {
      const Reading* r = reading(block.log + k, block.dump + k, block.shape);
      if (!r) continue;
      copy.last_prefix = log_[block.log + k].substr(0, r->prefix);
      if (std::exchange(first, false)) copy.first_prefix = copy.last_prefix;
    }
    return copy;
  }

  const std::span<const std::string> log_, dump_;
  // Of the dump: each line's text (kNone: an empty line, or none), and where each text is.
  std::vector<uint32_t> text_;
  std::vector<std::vector<size_t>> places_;
  std::unordered_map<uint64_t, uint32_t> text_by_hash_;
  std::vector<size_t> heads_before_;  // lines that begin a CPU, a task or the dump
  // Of the log.
  std::vector<std::vector<Reading>> readings_;
  std::vector<Seed> seeds_;     // ascending
  std::vector<uint32_t> bare_;  // each line as a prefix with nothing behind it; kNone: it is none
  std::unordered_map<std::string, uint32_t> shapes_, bare_by_shape_;
  std::vector<uint32_t> bare_of_;  // of each shape
  std::vector<Block> blocks_;
  uint64_t looks_ = 0;
};

}  // namespace

std::vector<DumpCopy> find_dump_copies(std::span<const std::string> log, std::span<const std::string> dump) {
  if (log.size() < kMinLines || dump.size() < kMinLines) return {};
  return CopySearch(log, dump).copies();
}

}  // namespace ktstr
