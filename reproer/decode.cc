#include "reproer/decode.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <vector>

#include "base/cpu_list.h"
#include "base/text.h"
#include "schemas/probe_generated.h"
#include "scx/vocabulary.h"

namespace ktstr {
namespace {

uint64_t number(const ValueSpecT& spec, std::span<const uint8_t> data, bool is_signed) {
  size_t size = std::min<size_t>({spec.size ? spec.size : 8u, 8u, data.size()});
  uint64_t v = 0;
  std::memcpy(&v, data.data(), size);
  unsigned bits = static_cast<unsigned>(size) * 8;
  if (spec.bit_size && spec.bit_size < 64) {
    v = v >> std::min<unsigned>(spec.bit_offset, 63);
    bits = spec.bit_size;
    v &= (uint64_t{1} << bits) - 1;
  }
  if (is_signed && bits && bits < 64 && (v >> (bits - 1) & 1)) v |= ~uint64_t{0} << bits;
  return v;
}

std::string name_of(const ValueSpecT& spec, uint64_t v, uint64_t width_mask) {
  for (size_t i = 0; i < spec.enum_names.size() && i < spec.enum_values.size(); ++i)
    if ((spec.enum_values[i] & width_mask) == (v & width_mask)) return spec.enum_names[i];
  return {};
}

std::string flags(const ValueSpecT& spec, uint64_t v) {
  std::string out;
  auto add = [&](const std::string& name) { out += (out.empty() ? "" : "|") + name; };
  uint64_t rest = v;
  const size_t n = std::min(spec.enum_names.size(), spec.enum_values.size());
  // Fields of several bits first: their value is matched whole.
  for (size_t i = 0; i < n; ++i) {
    const uint64_t mask = spec.enum_values[i];
    if (!spec.enum_names[i].ends_with("_MASK") || (v & mask) == 0) continue;
    for (size_t k = 0; k < n; ++k)
      if (!spec.enum_names[k].ends_with("_MASK") && spec.enum_values[k] == (v & mask)) {
        add(spec.enum_names[k]);
        rest &= ~mask;
        break;
      }
  }
  for (size_t i = 0; i < n; ++i) {
    const uint64_t bit = spec.enum_values[i];
    if (spec.enum_names[i].ends_with("_MASK") || bit == 0 || (rest & bit) != bit) continue;
    add(spec.enum_names[i]);
    rest &= ~bit;
  }
  if (rest) add(hex(rest));
  return out.empty() ? "0" : out;
}

std::string cpus(std::span<const uint8_t> data) {
  std::vector<unsigned> list;
  for (size_t i = 0; i < data.size() * 8; ++i)
    if (data[i / 8] >> (i % 8) & 1) list.push_back(static_cast<unsigned>(i));
  return list.empty() ? "none" : cpu_list(std::move(list));
}

}  // namespace

std::string decode_value(const ValueSpecT& spec, std::span<const uint8_t> data) {
  if (data.empty()) return "?";
  switch (spec.format) {
    case ValueFormat::Signed: {
      const auto v = static_cast<int64_t>(number(spec, data, true));
      return std::to_string(v);
    }
    case ValueFormat::Hex: {
      if (data.size() <= 8) return hex(number(spec, data, false));
      std::string out;
      for (uint8_t b : data) {
        char two[4];
        std::snprintf(two, sizeof(two), "%02x", b);
        out += two;
      }
      return out;
    }
    case ValueFormat::Pointer: {
      const uint64_t v = number(spec, data, false);
      return v ? hex(v) : "NULL";
    }
    case ValueFormat::Bool:
      return number(spec, data, false) ? "true" : "false";
    case ValueFormat::String:
    case ValueFormat::CString: {
      const auto* text = reinterpret_cast<const char*>(data.data());
      return "\"" + printable(std::string(text, ::strnlen(text, data.size()))) + "\"";
    }
    case ValueFormat::Enum: {
      const uint64_t v = number(spec, data, false);
      const uint64_t width = spec.size >= 8 ? ~uint64_t{0} : (uint64_t{1} << (spec.size * 8)) - 1;
      const std::string name = name_of(spec, v, width);
      return name.empty() ? hex(v) : name + " (" + hex(v) + ")";
    }
    case ValueFormat::Flags:
      return flags(spec, number(spec, data, false));
    case ValueFormat::CpuMask:
      return cpus(data);
    case ValueFormat::DsqId:
      return dsq_name(number(spec, data, false));
    case ValueFormat::Unsigned: {
      const uint64_t v = number(spec, data, false);
      const std::string name = name_of(spec, v, ~uint64_t{0});
      return std::to_string(v) + (name.empty() ? "" : " (" + name + ")");
    }
  }
  return "?";
}

}  // namespace ktstr
