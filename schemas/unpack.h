// A table of a FlatBuffer as the struct that the object API makes of it.
#pragma once

namespace ktstr {

// unpack<CrashDetectedT>(*event.as<CrashDetected>())
template <typename T, typename Table>
T unpack(const Table& table) {
  T object;
  table.UnPackTo(&object);
  return object;
}

}  // namespace ktstr
