#include "monitor/btf_value.h"

#include <algorithm>
#include <cstring>

#include "base/numbers.h"
#include "base/text.h"
#include "schemas/monitor_generated.h"

namespace ktstr {
namespace {

constexpr int kMaxDepth = 12;
constexpr uint32_t kMaxText = 200;  // of a char array
constexpr uint32_t kMaxBytesShown = 32;
constexpr uint32_t kMaxElements = 65536;  // of an array, looked at

bool all_zero(std::span<const uint8_t> bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](uint8_t b) { return b == 0; });
}

bool is_text(const BtfView& btf, const BtfType& array) {
  return array.cls == BtfClass::kArray && btf.resolve(array.target).cls == BtfClass::kChar;
}

uint64_t number_in(std::span<const uint8_t> bytes, bool is_signed) {
  const size_t size = std::min<size_t>(bytes.size(), 8);
  uint64_t value = 0;
  std::memcpy(&value, bytes.data(), size);
  if (!is_signed || size == 0 || size == 8) return value;
  const unsigned spare = static_cast<unsigned>(64 - 8 * size);
  return static_cast<uint64_t>(static_cast<int64_t>(value << spare) >> spare);
}

std::string number_text(uint64_t value, bool is_signed) {
  return is_signed ? std::to_string(static_cast<int64_t>(value)) : std::to_string(value);
}

std::string text_leaf(std::span<const uint8_t> bytes) {
  const auto* chars = reinterpret_cast<const char*>(bytes.data());
  const size_t length = ::strnlen(chars, bytes.size());
  std::string out = "\"" + printable(std::string_view(chars, std::min<size_t>(length, kMaxText))) + "\"";
  if (length > kMaxText) out += " (" + std::to_string(length) + " bytes)";
  return out;
}

std::string enum_leaf(const BtfView& btf, const BtfType& type, uint64_t value) {
  for (const BtfEnumerator& e : btf.enumerators(type.id))
    if (e.value == value) return printable(e.name);
  return number_text(value, type.is_signed);
}

std::string bits_leaf(const BtfView& btf, const BtfMember& member, const BtfType& type,
                      std::span<const uint8_t> bytes) {
  uint64_t value = 0;
  for (uint32_t bit = 0; bit < std::min(member.bit_size, 64u); ++bit) {
    const uint64_t at = uint64_t{member.bit_offset} + bit;
    if (at / 8 >= bytes.size()) return "?";
    value |= static_cast<uint64_t>((bytes[at / 8] >> (at % 8)) & 1) << bit;
  }
  if (type.is_signed && member.bit_size < 64 && ((value >> (member.bit_size - 1)) & 1))
    value |= ~uint64_t{0} << member.bit_size;
  if (type.cls == BtfClass::kBool) return value ? "true" : "false";
  return type.cls == BtfClass::kEnum ? enum_leaf(btf, type, value) : number_text(value, type.is_signed);
}

class Renderer {
 public:
  Renderer(const BtfView& btf, FieldSink& sink) : btf_(btf), sink_(sink) {}

  void value(uint32_t type_id, std::span<const uint8_t> bytes, const std::string& name, int depth) {
    if (depth > kMaxDepth || !spend(1 + bytes.size() / 64)) return;
    const BtfType type = btf_.resolve(type_id);
    switch (type.cls) {
      case BtfClass::kStruct:
      case BtfClass::kUnion:
        if (type.name == "bpf_timer" && !sink_.timer.empty())
          return sink_.add(name.empty() ? "timer" : name, sink_.timer);
        return members(type, bytes, name, depth);
      case BtfClass::kArray:
        if (!is_text(btf_, type)) return elements(type, bytes, name, depth);
        break;
      default:
        break;
    }
    const auto piece = part(bytes, 0, type.size);
    if (!piece.empty()) sink_.add(name.empty() ? "value" : name, render_leaf(btf_, type_id, piece));
  }

 private:
  // False once there was too much of it.
  bool spend(size_t visits) {
    if (visits <= sink_.visits) {
      sink_.visits -= static_cast<uint32_t>(visits);
      return true;
    }
    if (!spent_) ++sink_.left_out;
    spent_ = true;
    sink_.visits = 0;
    return false;
  }
  static std::span<const uint8_t> part(std::span<const uint8_t> bytes, uint64_t offset, uint64_t size) {
    if (offset > bytes.size() || size > bytes.size() - offset) return {};
    return bytes.subspan(offset, size);
  }

  void members(const BtfType& type, std::span<const uint8_t> bytes, const std::string& name, int depth) {
    if (sink_.visits == 0) return;
    for (const BtfMember& member : btf_.members(type.id)) {
      if (!spend(1)) return;
      const BtfType of = btf_.resolve(member.type_id);
      std::string path = name;
      if (!member.name.empty()) path += (path.empty() ? "" : ".") + printable(member.name);
      if (member.bit_size) {
        if (!member.name.empty()) sink_.add(path, bits_leaf(btf_, member, of, bytes));
        continue;
      }
      const auto piece = part(bytes, member.bit_offset / 8, of.size);
      if (!piece.empty()) value(member.type_id, piece, path, depth + 1);
    }
  }

  void elements(const BtfType& array, std::span<const uint8_t> bytes, const std::string& name, int depth) {
    const uint32_t size = btf_.resolve(array.target).size;
    if (size == 0) return;
    for (uint32_t i = 0; i < std::min(array.count, kMaxElements); ++i) {
      const auto piece = part(bytes, uint64_t{i} * size, size);
      if (piece.empty() || !spend(size / 64)) break;
      if (!all_zero(piece)) value(array.target, piece, name + "[" + std::to_string(i) + "]", depth + 1);
    }
  }

  const BtfView& btf_;
  FieldSink& sink_;
  bool spent_ = false;
};

Error bad_value(const ValuePlace& place, std::string_view text, const std::string& why) {
  return Error::invalid("\"" + std::string(text) + "\" is no " + place.type_name + ": " + why);
}

Result<uint64_t> encode_number(const ValuePlace& place, const BtfType& type, std::string_view text) {
  const unsigned bits = type.size * 8;
  if (type.is_signed) {
    const auto value = parse_number<int64_t>(text, 0);
    if (!value) return bad_value(place, text, "a whole number is needed");
    if (bits < 64 && (*value < -(int64_t{1} << (bits - 1)) || *value >= int64_t{1} << (bits - 1)))
      return bad_value(place, text, "it does not fit into " + std::to_string(type.size) + " bytes");
    return static_cast<uint64_t>(*value);
  }
  const auto value = parse_number(text, 0);
  if (!value) return bad_value(place, text, "a whole number, not negative, is needed");
  if (bits < 64 && *value >> bits)
    return bad_value(place, text, "it does not fit into " + std::to_string(type.size) + " bytes");
  return *value;
}

Result<uint64_t> encode_enum(const BtfView& btf, const ValuePlace& place, const BtfType& type,
                             std::string_view text) {
  std::string known;
  int shown = 0;
  for (const BtfEnumerator& e : btf.enumerators(type.id)) {
    if (e.name == text) return e.value;
    if (shown++ < 8) known += (known.empty() ? "" : ", ") + printable(e.name);
  }
  if (parse_number<int64_t>(text, 0)) return encode_number(place, type, text);
  return bad_value(place, text, "its values are " + known + (shown > 8 ? ", …" : ""));
}

// What a struct, or a section of variables, has to offer.
std::string names_in(const BtfView& btf, uint32_t type_id) {
  std::string out;
  int shown = 0;
  const auto add = [&](const std::string& name) {
    if (!name.empty() && shown++ < 12) out += (out.empty() ? "" : ", ") + printable(name);
  };
  for (const BtfVariable& v : btf.variables(type_id)) add(v.name);
  for (const BtfMember& m : btf.members(type_id)) add(m.name);
  return shown > 12 ? out + ", …" : out;
}

Result<ValuePlace> step_into(const BtfView& btf, const ValuePlace& from, std::string_view name) {
  for (const BtfVariable& v : btf.variables(from.type_id)) {
    if (v.name == name) return ValuePlace{from.offset + v.offset, btf.resolve(v.type_id).size, v.type_id, {}};
  }
  const BtfType type = btf.resolve(from.type_id);
  if (type.cls == BtfClass::kPointer)
    return Error::invalid("\"" + std::string(name) + "\" is behind a pointer");
  const auto field = btf.field(from.type_id, name);
  if (!field) {
    const std::string known = names_in(btf, from.type_id);
    return Error::not_found(
        "there is no \"" + std::string(name) + "\"" +
        (known.empty() ? ": " + btf.type_name(from.type_id) + " has no fields" : "; there are " + known));
  }
  if (field->bit_size) return Error::unsupported("\"" + std::string(name) + "\" is a bit-field: not written");
  return ValuePlace{from.offset + field->offset, field->size, field->type_id, {}};
}

Result<ValuePlace> index_into(const BtfView& btf, const ValuePlace& from, std::string_view digits) {
  const BtfType type = btf.resolve(from.type_id);
  const auto index = parse_number<uint32_t>(digits, 0);
  if (!index) return Error::invalid("\"[" + std::string(digits) + "]\" is no index");
  if (type.cls != BtfClass::kArray)
    return Error::invalid("[" + std::string(digits) + "]: " + btf.type_name(from.type_id) + " is no array");
  if (*index >= type.count)
    return Error::invalid("[" + std::string(digits) + "]: the array has " + std::to_string(type.count) +
                          " elements");
  const uint32_t size = btf.resolve(type.target).size;
  return ValuePlace{from.offset + *index * size, size, type.target, {}};
}

}  // namespace

void FieldSink::add(std::string name, std::string value) {
  if (fields.size() >= limit) {
    ++left_out;
    return;
  }
  auto field = std::make_unique<FrozenFieldT>();
  field->name = std::move(name);
  field->value = std::move(value);
  fields.push_back(std::move(field));
}

void render_fields(const BtfView& btf, uint32_t type_id, std::span<const uint8_t> bytes,
                   const std::string& prefix, FieldSink& sink) {
  Renderer renderer(btf, sink);
  const auto variables = btf.variables(type_id);
  if (variables.empty()) return renderer.value(type_id, bytes, prefix, 0);
  for (const BtfVariable& v : variables) {
    const uint32_t size = btf.resolve(v.type_id).size;
    if (v.offset <= bytes.size() && size <= bytes.size() - v.offset)
      renderer.value(v.type_id, bytes.subspan(v.offset, size), printable(v.name), 0);
  }
}

std::string render_leaf(const BtfView& btf, uint32_t type_id, std::span<const uint8_t> bytes) {
  const BtfType type = btf.resolve(type_id);
  if (bytes.empty()) return "?";
  switch (type.cls) {
    case BtfClass::kBool:
      return all_zero(bytes) ? "false" : "true";
    case BtfClass::kInt:
      if (type.size <= 8) return number_text(number_in(bytes, type.is_signed), type.is_signed);
      return render_bytes(bytes);
    case BtfClass::kChar:
      return number_text(number_in(bytes, true), true);
    case BtfClass::kEnum:
      return enum_leaf(btf, type, number_in(bytes, type.is_signed));
    case BtfClass::kPointer:
      return hex(number_in(bytes, false));
    case BtfClass::kFloat: {
      double value = 0;
      float narrow = 0;
      if (bytes.size() == sizeof value) std::memcpy(&value, bytes.data(), sizeof value);
      if (bytes.size() == sizeof narrow) {
        std::memcpy(&narrow, bytes.data(), sizeof narrow);
        value = static_cast<double>(narrow);
      }
      char text[40];
      std::snprintf(text, sizeof text, "%g", value);
      return text;
    }
    case BtfClass::kArray:
      return is_text(btf, type) ? text_leaf(bytes) : render_bytes(bytes);
    default:
      return render_bytes(bytes);
  }
}

std::string render_bytes(std::span<const uint8_t> bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (const uint8_t b : bytes.subspan(0, std::min<size_t>(bytes.size(), kMaxBytesShown))) {
    out += kDigits[b >> 4];
    out += kDigits[b & 15];
  }
  if (bytes.size() > kMaxBytesShown) out += "… (" + std::to_string(bytes.size()) + " bytes)";
  return out;
}

Result<ValuePlace> find_place(const BtfView& btf, uint32_t type_id, std::string_view path) {
  ValuePlace place{0, btf.resolve(type_id).size, type_id, {}};
  while (!path.empty()) {
    Result<ValuePlace> next = Error::invalid("");
    if (path.front() == '[') {
      const size_t end = path.find(']');
      if (end == path.npos) return Error::invalid("\"" + std::string(path) + "\" lacks its ]");
      next = index_into(btf, place, path.substr(1, end - 1));
      path.remove_prefix(end + 1);
    } else {
      if (path.front() == '.') path.remove_prefix(1);
      const size_t end = path.find_first_of(".[");
      next = step_into(btf, place, path.substr(0, end));
      path = end == path.npos ? std::string_view() : path.substr(end);
    }
    if (!next) return next;
    place = std::move(*next);
  }
  place.type_name = btf.type_name(place.type_id);
  return place;
}

Result<std::vector<uint8_t>> encode_value(const BtfView& btf, const ValuePlace& place,
                                          std::string_view text) {
  const BtfType type = btf.resolve(place.type_id);
  std::vector<uint8_t> bytes(place.size, 0);
  Result<uint64_t> number = uint64_t{0};
  switch (type.cls) {
    case BtfClass::kBool:
      if (text != "true" && text != "false" && text != "1" && text != "0")
        return bad_value(place, text, "true or false is needed");
      number = uint64_t{text == "true" || text == "1"};
      break;
    case BtfClass::kInt:
    case BtfClass::kChar:
      number = encode_number(place, type, text);
      break;
    case BtfClass::kEnum:
      number = encode_enum(btf, place, type, text);
      break;
    case BtfClass::kArray:
      if (is_text(btf, type)) {
        if (text.size() >= bytes.size()) return bad_value(place, text, "it is too long");
        std::copy(text.begin(), text.end(), bytes.begin());
        return bytes;
      }
      [[fallthrough]];
    default: {
      const std::string known = names_in(btf, place.type_id);
      return Error::unsupported(
          "a " + (place.type_name == "void" ? std::string("section of variables") : place.type_name) +
          " is not written as a whole" + (known.empty() ? "" : "; name one of its fields: " + known));
    }
  }
  if (!number) return std::move(number).error();
  if (place.size > 8) return bad_value(place, text, "numbers over 8 bytes are not written");
  std::memcpy(bytes.data(), &*number, bytes.size());
  return bytes;
}

}  // namespace ktstr
