// A run as one page, DIR/index.html: an index of its tests and each of them with charts, logs and report. It needs nothing but
// itself: scripts, style and data are inside, and its Content-Security-Policy allows no others. Layout: README.md of this folder.
//
// What is shown of each log waits in a file without a name until the page is written, so memory holds one log at a time.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"
#include "reporter/format.h"

namespace ktstr {

class HtmlPage {
 public:
  // Makes the folder (0700) if it is not there.
  static Result<HtmlPage> create(const std::string& folder);

  // page_data() of a run; where it waits.
  Result<PagePart> add(std::string_view data);
  // Writes index.html (0600): complete, or as it was.
  Status write(std::span<const JudgedTest> tests);

  // Of all data: what comes after it is shown without charts and logs, and beyond the second bound not at all.
  static constexpr uint64_t kFullBytes = 64ull << 20, kMostBytes = 128ull << 20;
  bool is_full() const { return stored_ >= kFullBytes; }
  bool takes_no_more() const { return stored_ >= kMostBytes; }

  // Steps of each series: fewer where a page shows many runs.
  static size_t points(size_t logs) { return logs <= 16 ? 480 : logs <= 128 ? 240 : 96; }

 private:
  HtmlPage(std::string folder, UniqueFd store) : folder_(std::move(folder)), store_(std::move(store)) {}
  Status copy(const PagePart& part, int to) const;

  std::string folder_;
  UniqueFd store_;
  uint64_t stored_ = 0;
};

// The page up to its data, and after it; `index` is JSON for a script (page_data.h).
std::string page_head(std::string_view title);
std::string page_tail();

}  // namespace ktstr
