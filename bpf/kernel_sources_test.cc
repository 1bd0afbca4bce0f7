#include "bpf/kernel_sources.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace ktstr {
namespace {

// Sizes of the fixture's function that fit it: what a trace says reaches to the next symbol.
uint32_t size_of(const KernelSources& sources) {
  for (uint32_t size = 1; size < 4096; ++size)
    if (sources.match("fixture_outer", size) == SymbolMatch::kSame) return size;
  return 0;
}

TEST(KernelSources, CallsAndWhatWasInlinedThereHaveTheirLines) {
  auto opened = KernelSources::open(KTSTR_DWARF_FIXTURE);
  ASSERT_TRUE(opened.ok()) << opened.error().message();
  KernelSources& sources = **opened;
  EXPECT_TRUE(sources.has_lines());
  EXPECT_EQ(sources.release(), "9.9.9-fixture");
  const uint32_t size = size_of(sources);
  ASSERT_GT(size, 8u);
  std::set<std::string> inner, outer, plain;
  for (uint32_t offset = 1; offset < size; ++offset) {
    const SourcePlace place = sources.place_of("fixture_outer", offset, size);
    if (place.inlined.empty()) {
      plain.insert(place.line);
      continue;
    }
    EXPECT_EQ(place.inlined.front().function, "fixture_inner");
    inner.insert(place.inlined.front().line);
    outer.insert(place.line);
  }
  // The tree may be anywhere.
  auto has = [](const std::set<std::string>& places, const std::string& end) {
    return std::any_of(places.begin(), places.end(),
                       [&](const std::string& place) { return place.ends_with(end); });
  };
  EXPECT_TRUE(has(inner, "bpf/testing/dwarf_fixture.c:7")) << ::testing::PrintToString(inner);
  EXPECT_TRUE(has(outer, "bpf/testing/dwarf_fixture.c:11")) << ::testing::PrintToString(outer);
  EXPECT_TRUE(has(plain, "bpf/testing/dwarf_fixture.c:12")) << ::testing::PrintToString(plain);
}

TEST(KernelSources, AFunctionOfAnotherSizeIsOfAnotherBuild) {
  auto opened = KernelSources::open(KTSTR_DWARF_FIXTURE);
  ASSERT_TRUE(opened.ok());
  EXPECT_EQ((*opened)->match("fixture_outer", 4000), SymbolMatch::kOtherSize);
  EXPECT_EQ((*opened)->match("no_such_function", 4000), SymbolMatch::kNone);
  EXPECT_EQ((*opened)->match("fixture_outer", 0), SymbolMatch::kSame);  // not told
}

TEST(KernelSources, WhatIsNoImageIsAnError) { EXPECT_FALSE(KernelSources::open(__FILE__).ok()); }

}  // namespace
}  // namespace ktstr
