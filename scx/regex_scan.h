// What the text of an RE2 expression shows: whether it can match without consuming a character, and its literal words.
//
// RE2 has no public syntax tree, and its search hides an empty match behind a longer one. So the question
// "can this match without consuming a character, in any text?" is put to RE2 in another form: every assertion
// (`^` `$` `\A` `\z`
// `\b` `\B`) is replaced by `(?:)`, which always holds and consumes nothing. What is left depends on no
// context, and matches "" in full exactly when the original has a way through that consumes nothing if its
// assertions hold. Limit: an expression whose assertions contradict each other (`\b\B`) counts as able to
// match; it is useless as well. The oracle in regex_scan_test.cc tries every position of every short text.
#pragma once

#include <string>
#include <string_view>

namespace ktstr {

// `pattern` with each assertion outside a character class replaced by `(?:)`. REQUIRES: RE2 accepts
// `pattern`.
std::string without_assertions(std::string_view pattern);

// The literal characters, a space for each run of anything else. For measuring likeness
// only. REQUIRES: RE2 accepts `pattern`.
std::string literal_text(std::string_view pattern);

}  // namespace ktstr
