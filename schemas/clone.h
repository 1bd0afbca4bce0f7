// Deep copies of generated object types, which are move-only (they own sub-tables by unique_ptr).
#pragma once

#include <flatbuffers/flatbuffers.h>

namespace ktstr {

// clone_native(spec) for any generated type FooT.
template <typename Native>
Native clone_native(const Native& native) {
  flatbuffers::FlatBufferBuilder fbb;
  fbb.Finish(Native::TableType::Pack(fbb, &native));
  Native copy;
  flatbuffers::GetRoot<typename Native::TableType>(fbb.GetBufferPointer())->UnPackTo(&copy);
  return copy;
}

}  // namespace ktstr
