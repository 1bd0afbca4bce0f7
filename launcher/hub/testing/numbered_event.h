// An event that its receiver knows by number.
#pragma once

#include <string>
#include <utility>

#include "schemas/client_generated.h"
#include "schemas/envelope.h"

namespace ktstr::testing {

inline EventBuffer numbered(uint64_t i, const std::string& run_id = "run", size_t padding = 0) {
  CollectorLineT t;
  t.text = std::to_string(i) + std::string(padding, '.');
  return make_event({.run_id = run_id, .source = "test"}, std::move(t));
}

}  // namespace ktstr::testing
