// Values of a probe target, for tests.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "schemas/probe_generated.h"

namespace ktstr::probe {

inline void add_value(ProbeTargetT* target, uint8_t arg, std::vector<uint32_t> offsets, uint16_t size,
                      ValueFormat format = ValueFormat::Unsigned) {
  auto v = std::make_unique<ValueSpecT>();
  v->arg = arg;
  v->format = format;
  v->size = size;
  v->offsets = std::move(offsets);
  target->values.push_back(std::move(v));
}

}  // namespace ktstr::probe
