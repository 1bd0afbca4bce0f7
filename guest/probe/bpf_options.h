// libbpf's option structs, zeroed and with their own size in them.
#pragma once

#include <cstring>

namespace ktstr::probe {

template <typename T>
T bpf_options() {
  T o;
  std::memset(&o, 0, sizeof(o));
  o.sz = sizeof(o);
  return o;
}

}  // namespace ktstr::probe
