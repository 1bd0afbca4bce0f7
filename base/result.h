// Result<T>: a value or an Error, for every call that can fail.
//
// No exception crosses a module's edge; a library that throws is caught beside its call. An Error is text for a
// person, built up on the way out: the innermost call says what failed, each caller prepends where.
//
//   Result<Btf> extract(const Kernel& k) {
//     auto elf = decompress(k.image);
//     if (!elf) return std::move(elf).error().within("kernel " + k.release + ": extract BTF");
//     ...
//   }
#pragma once

#include <cerrno>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace ktstr {

// What sort of failure: decides the exit code and whether a caller may go on.
enum class ErrorKind {
  kInvalid,      // bad input of any kind: command line, spec, log, guest bytes
  kNotFound,     // a named thing is not there
  kUnsupported,  // the host, kernel or format cannot do this
  kSystem,       // a system call or a child process failed
  kTimeout,      // a condition was waited for and did not come
  kExhausted,    // no space, no memory, too large
};

class [[nodiscard]] Error {
 public:
  Error(ErrorKind kind, std::string message) : kind_(kind), message_(std::move(message)) {}

  static Error invalid(std::string m) { return {ErrorKind::kInvalid, std::move(m)}; }
  static Error not_found(std::string m) { return {ErrorKind::kNotFound, std::move(m)}; }
  static Error unsupported(std::string m) { return {ErrorKind::kUnsupported, std::move(m)}; }
  static Error timeout(std::string m) { return {ErrorKind::kTimeout, std::move(m)}; }
  static Error exhausted(std::string m) { return {ErrorKind::kExhausted, std::move(m)}; }
  static Error system(std::string m) { return {ErrorKind::kSystem, std::move(m)}; }
  // "WHAT: strerror(err)"; ENOSPC becomes kExhausted, ENOENT kNotFound. Call before errno can change.
  static Error from_errno(std::string_view what, int err = errno) {
    ErrorKind kind = err == ENOSPC   ? ErrorKind::kExhausted
                     : err == ENOENT ? ErrorKind::kNotFound
                                     : ErrorKind::kSystem;
    return {kind, std::string(what) + ": " + std::strerror(err)};
  }

  ErrorKind kind() const { return kind_; }
  const std::string& message() const { return message_; }
  // What to do about it: one line, printed apart from the message. May be empty.
  const std::string& hint() const { return hint_; }

  Error with_hint(std::string hint) && {
    hint_ = std::move(hint);
    return std::move(*this);
  }
  Error within(std::string_view context) && {
    message_ = std::string(context) + ": " + message_;
    return std::move(*this);
  }
  // "MESSAGE" or "MESSAGE\n  hint: HINT".
  std::string to_string() const { return hint_.empty() ? message_ : message_ + "\n  hint: " + hint_; }

 private:
  ErrorKind kind_;
  std::string message_;
  std::string hint_;
};

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::move(value)) {}      // NOLINT: implicit by design
  Result(Error error) : state_(std::move(error)) {}  // NOLINT: implicit by design

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }
  // REQUIRES: ok().
  T& value() & { return std::get<0>(state_); }
  const T& value() const& { return std::get<0>(state_); }
  T&& value() && { return std::get<0>(std::move(state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  // REQUIRES: !ok().
  const Error& error() const& { return std::get<1>(state_); }
  Error&& error() && { return std::get<1>(std::move(state_)); }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT: implicit by design

  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  const Error& error() const& { return *error_; }
  Error&& error() && { return std::move(*error_); }

 private:
  std::optional<Error> error_;
};

using Status = Result<void>;

}  // namespace ktstr
