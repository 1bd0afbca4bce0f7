#include "launcher/search/bisection.h"

#include "schemas/exit_code.h"

namespace ktstr {

std::optional<size_t> Bisection::next() const {
  if (failed_) return std::nullopt;
  if (ends_tried_ == 0) return points_ - 1;
  if (ends_tried_ == 1) return 0;
  std::optional<size_t> best;
  const size_t middle = good_ + (bad_ - good_) / 2;
  const auto distance = [&](size_t i) { return i > middle ? i - middle : middle - i; };
  for (size_t i = good_ + 1; i < bad_; ++i)
    if (!skipped_.contains(i) && (!best || distance(i) < distance(*best))) best = i;
  return best;
}

void Bisection::answer(BisectAnswer answer) {
  const auto at = next();
  if (!at) return;
  if (ends_tried_ < 2) {
    failed_ = answer != (ends_tried_ == 0 ? BisectAnswer::kBad : BisectAnswer::kGood);
    ++ends_tried_;
    return;
  }
  switch (answer) {
    case BisectAnswer::kGood:
      good_ = *at;
      break;
    case BisectAnswer::kBad:
      bad_ = *at;
      break;
    case BisectAnswer::kSkip:
      skipped_.insert(*at);
      break;
  }
}

std::vector<size_t> Bisection::between() const {
  std::vector<size_t> out;
  for (size_t i = good_ + 1; i < bad_; ++i) out.push_back(i);
  return out;
}

unsigned Bisection::steps_left() const {
  unsigned steps = 2 - ends_tried_;
  for (size_t open = bad_ - good_ - 1; open > 0; open /= 2) ++steps;
  return steps;
}

int git_bisect_code(int code) {
  switch (static_cast<ExitCode>(code)) {
    case ExitCode::kPass:
    case ExitCode::kTestFailed:
    case ExitCode::kInterrupted:
    case ExitCode::kTerminated:
      return code;
    case ExitCode::kNoTests:
    case ExitCode::kFilter:
      return kGitBisectStop;
    case ExitCode::kUsage:
    case ExitCode::kInfrastructure:
    case ExitCode::kInconclusive:
      return kGitBisectSkip;
  }
  return kGitBisectStop;
}

}  // namespace ktstr
