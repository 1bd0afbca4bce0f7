// A working set that is read and written from one end to the other.
#pragma once

#include <cstdint>
#include <vector>

#include "schemas/spec_generated.h"

namespace ktstr::guest {

class CacheWalk {
 public:
  explicit CacheWalk(const CgroupSpecT& group);
  void pass();

 private:
  std::vector<uint8_t> bytes_;
  size_t stride_;
};

}  // namespace ktstr::guest
