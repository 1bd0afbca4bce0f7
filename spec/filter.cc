// A recursive-descent parser to a small tree; `and` and `or` chains are one node with many children, so that
// depth grows with parentheses and `not` only, and those are bounded.
#include "spec/filter.h"

#include <re2/re2.h>

#include <algorithm>
#include <vector>

#include "base/text.h"
#include "base/wording.h"

namespace ktstr {
namespace {

constexpr size_t kMaxBytes = 64 << 10;
constexpr int kMaxDepth = 100;

bool is_word(char c) { return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

// Greedy with one point of return: linear in practice, quadratic at worst on names of 100 bytes.
bool glob_match(std::string_view glob, std::string_view text) {
  size_t g = 0, t = 0, star = std::string_view::npos, resume = 0;
  while (t < text.size()) {
    if (g < glob.size() && glob[g] == '*') {
      star = g++;
      resume = t;
    } else if (g < glob.size() && (glob[g] == '?' || glob[g] == text[t])) {
      ++g;
      ++t;
    } else if (star != std::string_view::npos) {
      g = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  return glob.find_first_not_of('*', g) == std::string_view::npos;
}

}  // namespace

enum class FilterSubjectKind { kTest, kKernel, kScheduler };
enum class FilterMatch { kContains, kExact, kGlob, kRegex, kSeries };

struct Filter::Node {
  enum class Kind { kAll, kAnd, kOr, kNot, kMatch } kind = Kind::kAll;
  std::vector<std::unique_ptr<Node>> children;
  FilterSubjectKind subject = FilterSubjectKind::kTest;
  FilterMatch how = FilterMatch::kContains;
  std::string text;
  std::unique_ptr<RE2> regex;

  bool matches(const FilterSubject& asked) const {
    auto yes = [&](const std::unique_ptr<Node>& child) { return child->matches(asked); };
    switch (kind) {
      case Kind::kAll:
        return true;
      case Kind::kAnd:
        return std::all_of(children.begin(), children.end(), yes);
      case Kind::kOr:
        return std::any_of(children.begin(), children.end(), yes);
      case Kind::kNot:
        return !children[0]->matches(asked);
      case Kind::kMatch:
        break;
    }
    std::string_view value = subject == FilterSubjectKind::kTest     ? asked.test
                             : subject == FilterSubjectKind::kKernel ? asked.kernel
                                                                     : asked.scheduler;
    if (value.empty()) return false;
    switch (how) {
      case FilterMatch::kContains:
        return value.find(text) != std::string_view::npos;
      case FilterMatch::kExact:
        return value == text;
      case FilterMatch::kGlob:
        return glob_match(text, value);
      case FilterMatch::kRegex:
        return RE2::PartialMatch(re2::StringPiece(value.data(), value.size()), *regex);
      case FilterMatch::kSeries:
        return value.starts_with(text) && (value.size() == text.size() || !is_digit(value[text.size()]));
    }
    return false;
  }
};

namespace {

using Node = Filter::Node;
using NodePtr = std::unique_ptr<Node>;

const std::vector<std::string> kPredicates = {"test", "kernel", "scheduler", "all", "none"};
constexpr std::string_view kForms = "write test(name), kernel(series), scheduler(name), all() or none()";

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Result<NodePtr> parse() {
    auto root = parse_or(0);
    if (!root) return root;
    skip_blanks();
    if (at_ < text_.size()) {
      if (text_[at_] == ')')
        return fail(at_, "this ')' closes nothing", "take it out, or add the '(' it belongs to");
      return fail(at_, "expected and, or, or the end of the expression",
                  "join two conditions with and, or, or '-'");
    }
    return root;
  }

 private:
  Error fail(size_t at, std::string_view what, std::string_view hint) const {
    // One column a character, whatever its bytes; a long expression is cut to the surroundings of the place.
    constexpr size_t kAround = 60;
    size_t begin = at > kAround ? at - kAround : 0;
    std::string shown(text_.substr(begin, 2 * kAround));
    size_t columns = 0;
    for (size_t i = begin; i < at && i < text_.size(); ++i) columns += (text_[i] & 0xc0) != 0x80;
    for (char& c : shown)
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
    return Error::invalid("filter expression: " + std::string(what) + "\n  " + shown + "\n  " +
                          std::string(columns, ' ') + "^")
        .with_hint(std::string(hint));
  }

  void skip_blanks() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n')) ++at_;
  }

  std::string_view word_ahead() const {
    size_t end = at_;
    while (end < text_.size() && is_word(text_[end])) ++end;
    return text_.substr(at_, end - at_);
  }

  // Takes an operator: a word, or a sign that may be doubled (&& and ||).
  bool take(std::string_view word, std::string_view signs) {
    skip_blanks();
    if (!word.empty() && word_ahead() == word) {
      at_ += word.size();
      return true;
    }
    if (at_ >= text_.size() || signs.find(text_[at_]) == std::string_view::npos) return false;
    char sign = text_[at_++];
    if ((sign == '&' || sign == '|') && at_ < text_.size() && text_[at_] == sign) ++at_;
    return true;
  }

  Result<NodePtr> parse_or(int depth) { return parse_chain(depth, Node::Kind::kOr); }

  Result<NodePtr> parse_chain(int depth, Node::Kind kind) {
    const bool is_or = kind == Node::Kind::kOr;
    auto operand = [&] { return is_or ? parse_chain(depth, Node::Kind::kAnd) : parse_not(depth); };
    auto first = operand();
    if (!first) return first;
    auto chain = std::make_unique<Node>();
    chain->kind = kind;
    chain->children.push_back(std::move(*first));
    while (true) {
      bool minus = !is_or && take("", "-");
      if (!minus && !(is_or ? take("or", "|+") : take("and", "&"))) break;
      auto next = operand();
      if (!next) return next;
      chain->children.push_back(minus ? negated(std::move(*next)) : std::move(*next));
    }
    if (chain->children.size() == 1) return std::move(chain->children[0]);
    return chain;
  }

  static NodePtr negated(NodePtr inner) {
    auto node = std::make_unique<Node>();
    node->kind = Node::Kind::kNot;
    node->children.push_back(std::move(inner));
    return node;
  }

  Result<NodePtr> parse_not(int depth) {
    if (depth > kMaxDepth)
      return fail(at_, "more than " + std::to_string(kMaxDepth) + " levels deep", "simplify the expression");
    if (take("not", "!")) {
      auto inner = parse_not(depth + 1);
      if (!inner) return inner;
      return negated(std::move(*inner));
    }
    size_t open = at_;
    if (take("", "(")) {
      auto inner = parse_or(depth + 1);
      if (!inner) return inner;
      if (!take("", ")")) {
        if (at_ < text_.size())
          return fail(at_, "expected and, or, or ')'", "join two conditions with and, or, or '-'");
        return fail(open, "this '(' is never closed", "add a ')'");
      }
      return inner;
    }
    return parse_predicate();
  }

  Result<NodePtr> parse_predicate() {
    skip_blanks();
    size_t start = at_;
    std::string_view name = word_ahead();
    if (at_ >= text_.size()) return fail(at_, "the expression ends where a condition should stand", kForms);
    if (name.empty()) return fail(at_, "expected a condition", kForms);
    if (std::find(kPredicates.begin(), kPredicates.end(), name) == kPredicates.end()) {
      if (name == "and" || name == "or")
        return fail(at_, "expected a condition before " + in_quotes(name), kForms);
      std::string near = closest(name, kPredicates);
      size_t after = start + name.size();
      bool call = after < text_.size() && text_[after] == '(';
      std::string hint = call && !near.empty() ? "did you mean " + near + "(…)?"
                         : call                ? std::string(kForms)
                                               : "write test(" + std::string(name) + ")";
      return fail(start, "unknown condition " + in_quotes(name), hint);
    }
    at_ += name.size();
    skip_blanks();
    if (at_ >= text_.size() || text_[at_] != '(')
      return fail(at_, "expected '(' after " + in_quotes(name), kForms);
    size_t open = at_++;
    auto node = std::make_unique<Node>();
    if (name == "all" || name == "none") {
      if (!take("", ")"))
        return fail(at_, in_quotes(name) + " takes nothing", "write " + std::string(name) + "()");
      if (name == "none") return negated(std::move(node));
      return node;
    }
    node->kind = Node::Kind::kMatch;
    node->subject = name == "test"     ? FilterSubjectKind::kTest
                    : name == "kernel" ? FilterSubjectKind::kKernel
                                       : FilterSubjectKind::kScheduler;
    if (Status status = parse_matcher(open, *node); !status) return std::move(status).error();
    return node;
  }

  Status parse_matcher(size_t open, Node& node) {
    skip_blanks();
    node.how = node.subject == FilterSubjectKind::kKernel ? FilterMatch::kSeries : FilterMatch::kContains;
    size_t start = at_;
    char sign = at_ < text_.size() ? text_[at_] : '\0';
    if (sign == '/') return parse_regex(open, node);
    if (sign == '=' || sign == '~' || sign == '#') {
      node.how = sign == '='   ? FilterMatch::kExact
                 : sign == '~' ? FilterMatch::kContains
                               : FilterMatch::kGlob;
      ++at_;
      skip_blanks();
    }
    for (; at_ < text_.size() && text_[at_] != ')'; ++at_) {
      if (text_[at_] == '(')
        return fail(at_, "a '(' inside a name", "close the condition first, or use a /regex/ with \\(");
      if (text_[at_] == '\\') {
        if (at_ + 1 >= text_.size()) break;
        ++at_;
      }
      node.text += text_[at_];
    }
    if (at_ >= text_.size()) return fail(open, "this '(' is never closed", "add a ')'");
    while (!node.text.empty() && node.text.back() == ' ') node.text.pop_back();
    if (node.text.empty())
      return fail(start, "nothing to look for",
                  "write a name inside the parentheses, or all() for every test");
    ++at_;
    return {};
  }

  Status parse_regex(size_t open, Node& node) {
    size_t start = ++at_;
    for (; at_ < text_.size() && text_[at_] != '/'; ++at_) {
      if (text_[at_] == '\\' && at_ + 1 < text_.size()) {
        if (text_[at_ + 1] != '/') node.text += '\\';
        ++at_;
      }
      node.text += text_[at_];
    }
    if (at_ >= text_.size())
      return fail(start - 1, "this '/' is never closed", "end the expression with a '/'");
    ++at_;
    if (node.text.empty()) return fail(start, "an empty regex", "write all() for every test");
    node.how = FilterMatch::kRegex;
    node.regex = std::make_unique<RE2>(node.text, RE2::Quiet);
    if (!node.regex->ok())
      return fail(start, "not a valid RE2 expression: " + node.regex->error(),
                  "test(name) looks for plain text");
    if (!take("", ")")) {
      if (at_ >= text_.size()) return fail(open, "this '(' is never closed", "add a ')'");
      return fail(at_, "expected ')' after the regex", "a slash inside is written \\/");
    }
    return {};
  }

  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace

Filter::Filter(std::unique_ptr<Node> root) : root_(std::move(root)) {}
Filter::Filter(Filter&&) noexcept = default;
Filter& Filter::operator=(Filter&&) noexcept = default;
Filter::~Filter() = default;

Result<Filter> Filter::parse(std::string_view expression) {
  if (expression.size() > kMaxBytes)
    return Error::invalid("filter expression: longer than " + std::to_string(kMaxBytes) + " bytes");
  auto root = Parser(expression).parse();
  if (!root) return std::move(root).error();
  return Filter(std::move(*root));
}

Result<Filter> Filter::parse_any(const std::vector<std::string>& expressions) {
  auto root = std::make_unique<Node>();
  root->kind = Node::Kind::kOr;
  for (const std::string& expression : expressions) {
    auto one = parse(expression);
    if (!one) return one;
    root->children.push_back(std::move(one->root_));
  }
  return Filter(std::move(root));
}

bool Filter::matches(const FilterSubject& subject) const { return root_->matches(subject); }

}  // namespace ktstr
