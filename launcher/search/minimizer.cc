#include "launcher/search/minimizer.h"

#include <algorithm>

#include "base/text.h"

namespace ktstr {
namespace {

constexpr size_t kWidest = 48;  // of what was reduced

std::string padded(std::string text, size_t width) {
  // Columns count characters: a name may hold others than ASCII's.
  const size_t shown =
      static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
  if (shown < width) text.append(width - shown, ' ');
  return text;
}

}  // namespace

Minimizer::Minimizer(const TestSpecT& failing, MinimizerOptions options)
    : options_(std::move(options)), shrinker_(failing, spec_is_valid) {
  options_.tries = std::max(options_.tries, 1u);
  if (options_.seed)
    for (unsigned i = 0; i < options_.tries; ++i) seeds_.push_back(*options_.seed + i);
}

std::optional<Minimizer::Trial> Minimizer::next() {
  if (given_up_) return std::nullopt;
  if (reproduced_ && tried_ == 0) {
    candidate_ = shrinker_.next();
    if (!candidate_) return std::nullopt;
  }
  Trial trial{.spec = candidate_ ? &candidate_->spec : &shrinker_.best(),
              .what = candidate_ ? "without " + candidate_->what : "the test as it is",
              .seed = std::nullopt,
              .try_number = tried_ + 1};
  if (!seeds_.empty()) trial.seed = seeds_[tried_];
  return trial;
}

bool Minimizer::ended(const std::string& failure, const std::string& text) {
  if (options_.failure.empty()) options_.failure = failure;
  const bool same = !failure.empty() && failure == options_.failure;
  const size_t place = tried_++;
  if (!same && tried_ < options_.tries) return false;
  ReductionRecord record{.what = candidate_ ? candidate_->what : "nothing: the test as it is",
                         .tries = tried_,
                         .gone = same,
                         .seed = std::nullopt,
                         .ends = same ? "" : text};
  tried_ = 0;
  if (same && !seeds_.empty()) {
    record.seed = seeds_[place];
    std::rotate(seeds_.begin(), seeds_.begin() + static_cast<std::ptrdiff_t>(place),
                seeds_.begin() + static_cast<std::ptrdiff_t>(place) + 1);
  }
  records_.push_back(std::move(record));
  if (candidate_) {
    shrinker_.answer(same);
    candidate_ = nullptr;
  } else {
    reproduced_ = same;
    given_up_ = !same;
  }
  return same;
}

std::string records_text(const std::vector<ReductionRecord>& records) {
  size_t width = 10;
  for (const auto& record : records) width = std::max(width, std::min(record.what.size(), kWidest));
  std::string out = padded("taken out", width) + "  tries  then\n";
  for (const auto& record : records) {
    out += padded(printable(record.what), width) + "  " + padded(std::to_string(record.tries), 5) + "  ";
    if (record.gone)
      out += "it still fails" + (record.seed ? ", seed " + std::to_string(*record.seed) : std::string());
    else
      out += "kept: " + record.ends;
    out += "\n";
  }
  return out;
}

}  // namespace ktstr
