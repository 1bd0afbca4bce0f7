// The explanations of a text, as `ktstr-launch explain` prints them: a report for each crash, or one JSON object.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "explain/explanation.h"

namespace ktstr {

struct ExplainedText {
  std::string file;
  std::vector<Explanation> crashes;  // most telling first (order_explanations)
  uint64_t lines = 0;
  uint64_t orderly_exits = 0;
  std::vector<std::string> orderly;  // the first few of them
  uint64_t dropped = 0;              // crashes beyond what is kept
  bool anything = false;             // sched_ext or a trouble of a kernel was mentioned
  std::vector<std::string> notes;
};

// Explained at most so many crashes of one text; more are counted.
inline constexpr size_t kMaxCrashes = 1000;

std::string crash_report(const Explanation& crash, size_t number, size_t of);
std::string text_report(const ExplainedText& text);
// One line, docs/explain.md.
std::string json_report(const ExplainedText& text);

}  // namespace ktstr
