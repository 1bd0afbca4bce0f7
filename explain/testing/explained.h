// Texts to explanations, for the tests of this folder.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "explain/explanation.h"
#include "explain/journal.h"
#include "explain/text_shape.h"

namespace ktstr::testing {

inline std::vector<Explanation> explained(const std::string& text) {
  IncidentScanner scanner;
  JournalDecoder journal;
  const JournalDecoder::OnText on_text = [&](std::string_view line, Origin origin, std::string_view when) {
    scanner.feed(line, origin, when);
  };
  TextShape shape = TextShape::of(text);
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    while (line.ends_with('\r')) line.pop_back();
    shape.feed(line, [&](std::string_view shaped) { journal.feed(shaped, on_text); });
  }
  shape.finish([&](std::string_view shaped) { journal.feed(shaped, on_text); });
  journal.finish(on_text);
  scanner.finish();
  std::vector<Explanation> out;
  while (auto incident = scanner.take()) out.push_back(explain(*incident));
  order_explanations(out);
  return out;
}

// The first crash of the text.
inline Explanation first(const std::string& text) {
  auto crashes = explained(text);
  EXPECT_FALSE(crashes.empty()) << text;
  return crashes.empty() ? Explanation{} : crashes.front();
}

inline void expect_words(const std::string& text, const std::vector<std::string>& words) {
  for (const std::string& word : words)
    EXPECT_NE(text.find(word), std::string::npos) << "\"" << word << "\" in: " << text;
}

inline std::string case_text(const std::string& name) {
  std::ifstream file(std::string(KTSTR_CASES) + "/" + name);
  EXPECT_TRUE(file.is_open()) << name;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace ktstr::testing
