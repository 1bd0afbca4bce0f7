// Values of a BPF program, by its BTF: bytes to named fields, a field's name to its place, text to bytes.
//
// BTF and bytes are the guest's: nesting, fields and text are bounded, an offset outside of the bytes is left
// out.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bpf/btf_view.h"
#include "schemas/monitor_generated.h"

namespace ktstr {

struct FieldSink {
  uint32_t limit = 256;  // fields; more are counted
  std::vector<std::unique_ptr<FrozenFieldT>> fields;
  uint32_t left_out = 0;
  // Work that may be done for it, about one for each leaf: nested unions give more ways than bytes.
  uint32_t visits = 1u << 18;
  std::string timer;  // in place of a struct bpf_timer's bytes; empty: not known
  void add(std::string name, std::string value);
};

// Every leaf under `prefix` ("cfg" gives "cfg.cells[2].weight"; a type that is itself a leaf is "value").
// Elements of arrays that are zero throughout are not listed. `type_id` may be a DATASEC: its variables.
void render_fields(const BtfView& btf, uint32_t type_id, std::span<const uint8_t> bytes,
                   const std::string& prefix, FieldSink& sink);
// One leaf as text: 42, -1, true, SCX_DSQ_LOCAL, 0xffff…, "text".
std::string render_leaf(const BtfView& btf, uint32_t type_id, std::span<const uint8_t> bytes);
// Bytes without a type.
std::string render_bytes(std::span<const uint8_t> bytes);

// The place of a field in a value.
struct ValuePlace {
  uint32_t offset = 0;
  uint32_t size = 0;
  uint32_t type_id = 0;
  std::string type_name;
};
// "limit", "cfg.cells[2].weight"; empty: the whole value. Errors name the part that is missing, and what
// there is.
Result<ValuePlace> find_place(const BtfView& btf, uint32_t type_id, std::string_view path);
// `text` as the bytes of that place: a number in range, true or false, an enumerator, text of a char array.
Result<std::vector<uint8_t>> encode_value(const BtfView& btf, const ValuePlace& place, std::string_view text);

}  // namespace ktstr
