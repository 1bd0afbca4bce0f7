// Filter expressions, `-E EXPR`: which tests of the specs are meant. A subset of nextest's language, so that
// what people type there works here:
//
//   expression := test(M) | kernel(M) | scheduler(M) | all() | none()
//               | not E, !E | E and E, E & E | E - E (and not) | E or E, E | E, E + E | (E)
//   matcher M  := TEXT     test, scheduler: contains TEXT. kernel: the release begins with TEXT and no digit
//   follows,
//                          so that kernel(7.2) is 7.2 and 7.2.13 and neither 7.20 nor 6.17.2
//               | =TEXT    is TEXT
//               | ~TEXT    contains TEXT
//               | #GLOB    matches the shell pattern with * and ?
//               | /REGEX/  RE2 expression found anywhere; `\/` for a slash
//
// `not` binds tighter than `and` and `-`, those tighter than `or`. `)` and `\` in a TEXT are written `\)` and
// `\\`; blanks around it do not count.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace ktstr {

// What is asked about. A test without a scheduler of its own has scheduler "none".
struct FilterSubject {
  std::string_view test;
  std::string_view kernel;  // release; empty when none is resolved: then no kernel(…) matches
  std::string_view scheduler;
};

class Filter {
 public:
  // Errors (kInvalid): what is wrong, then the expression, then a line that points at the place; the hint
  // says what to write instead.
  static Result<Filter> parse(std::string_view expression);
  // Matches what any of them matches; the first error. REQUIRES: not empty.
  static Result<Filter> parse_any(const std::vector<std::string>& expressions);

  Filter(Filter&&) noexcept;
  Filter& operator=(Filter&&) noexcept;
  ~Filter();

  bool matches(const FilterSubject& subject) const;

  struct Node;  // in filter.cc

 private:
  explicit Filter(std::unique_ptr<Node> root);

  std::unique_ptr<Node> root_;
};

}  // namespace ktstr
