// SHA-256, as 64 hex digits: names the content of files across machines.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"

namespace ktstr {

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  void add(std::span<const uint8_t> bytes);
  // Once.
  std::string hex();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

Result<std::string> sha256_file(const std::string& path);

}  // namespace ktstr
