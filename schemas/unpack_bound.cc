// Walks the buffer by the generated type tables, so a payload that is added to the schema is bounded too.
// flatbuffers::IterateFlatBuffer cannot be stopped half way, and without a stop the walk itself is the attack.
#include "schemas/unpack_bound.h"

#include <flatbuffers/minireflect.h>

#include <algorithm>

namespace ktstr {
namespace {

namespace fb = flatbuffers;

constexpr uint64_t kReference = 4;   // an offset, a length, a table's way to its vtable
constexpr uint64_t kVtableHead = 4;  // its own size and its table's: read even where it says that it has none
constexpr uint64_t kHead = 8;        // the buffer's first bytes: where the root is, the file identifier

class Walk {
 public:
  Walk(const Event& event, std::span<const uint8_t> buffer)
      : stamp_(reinterpret_cast<const uint8_t*>(event.stamp())), left_(buffer.size()) {
    apart(buffer.data(), kHead);
  }

  // All of these: false, and why() tells, once something is wrong.
  bool table(const uint8_t* object, const fb::TypeTable& type);
  const char* why() const { return why_; }

 private:
  // The place of the stamp for the field that is the stamp, null for any other.
  const uint8_t* stamp_of(size_t field, const fb::TypeTable& type) const {
    return field == 0 && &type == EventTypeTable() ? stamp_ : nullptr;
  }
  // Bytes that a reader relies on.
  bool apart(const uint8_t* at, uint64_t size) {
    if (at < stamp_ + sizeof(Stamp) && stamp_ < at + size) why_ = "a part of it lies over its stamp";
    return why_ == nullptr;
  }
  bool take(uint64_t bytes) {
    if (bytes > left_) why_ = "would unpack to more than it is";
    left_ -= bytes;
    return why_ == nullptr;
  }
  bool field(const uint8_t* value, const uint8_t* before, fb::ElementaryType kind, const fb::TypeTable* type);
  bool vector(const uint8_t* value, fb::ElementaryType kind, const fb::TypeTable* type);
  // What a counted reference points to.
  bool target(const uint8_t* value, fb::ElementaryType kind, const fb::TypeTable* type);
  bool member(uint8_t selected, const uint8_t* object, const fb::TypeTable& type);

  const uint8_t* stamp_;
  uint64_t left_;
  const char* why_ = nullptr;
};

const uint8_t* follow(const uint8_t* value) { return value + fb::ReadScalar<fb::uoffset_t>(value); }

bool is_reference(fb::ElementaryType kind, const fb::TypeTable* type) {
  return kind == fb::ET_STRING || (kind == fb::ET_SEQUENCE && type && type->st != fb::ST_STRUCT);
}

bool Walk::table(const uint8_t* object, const fb::TypeTable& type) {
  const auto* vtable = reinterpret_cast<const fb::Table*>(object)->GetVTable();
  if (!take(kReference) || !apart(object, kReference) ||
      !apart(vtable, std::max<uint64_t>(fb::ReadScalar<fb::voffset_t>(vtable), kVtableHead)))
    return false;
  const uint8_t* before = nullptr;
  for (size_t i = 0; i < type.num_elems; ++i) {
    const fb::TypeCode code = type.type_codes[i];
    const uint8_t* value = reinterpret_cast<const fb::Table*>(object)->GetAddressOf(
        fb::FieldIndexToOffset(static_cast<fb::voffset_t>(i)));
    if (value && value != stamp_of(i, type)) {
      const fb::TypeTable* of = code.sequence_ref >= 0 ? type.type_refs[code.sequence_ref]() : nullptr;
      const auto kind = static_cast<fb::ElementaryType>(code.base_type);
      if (!(code.is_repeating ? vector(value, kind, of) : field(value, before, kind, of))) return false;
    }
    before = value;
  }
  return true;
}

bool Walk::field(const uint8_t* value, const uint8_t* before, fb::ElementaryType kind,
                 const fb::TypeTable* type) {
  if (!is_reference(kind, type))
    return apart(value, fb::InlineSize(kind, type));  // its value is in the table
  if (!take(kReference) || !apart(value, kReference)) return false;
  if (kind == fb::ET_SEQUENCE && type->st == fb::ST_UNION)
    return !before || member(*before, follow(value), *type);
  return target(value, kind, type);
}

bool Walk::vector(const uint8_t* value, fb::ElementaryType kind, const fb::TypeTable* type) {
  const auto* elements = reinterpret_cast<const fb::Vector<uint8_t>*>(follow(value));
  const size_t step = fb::InlineSize(kind, type);
  const uint64_t size = kReference + uint64_t{elements->size()} * step;
  if (!take(kReference + size) || !apart(value, kReference) || !apart(follow(value), size)) return false;
  if (!is_reference(kind, type)) return true;
  if (kind == fb::ET_SEQUENCE && type->st == fb::ST_UNION) return false;  // the schema has none
  const uint8_t* at = elements->Data();
  for (size_t i = 0; i < elements->size(); ++i, at += step)
    if (!target(at, kind, type)) return false;
  return true;
}

bool Walk::target(const uint8_t* value, fb::ElementaryType kind, const fb::TypeTable* type) {
  if (kind != fb::ET_STRING) return table(follow(value), *type);
  const uint64_t size = kReference + reinterpret_cast<const fb::String*>(follow(value))->size();
  return take(size) && apart(follow(value), size + 1);  // and its final zero
}

bool Walk::member(uint8_t selected, const uint8_t* object, const fb::TypeTable& type) {
  const int64_t index = fb::LookupEnum(selected, type.values, type.num_elems);
  if (index < 0 || static_cast<size_t>(index) >= type.num_elems) return true;  // never unpacked
  const fb::TypeCode code = type.type_codes[index];
  if (code.base_type != fb::ET_SEQUENCE || code.sequence_ref < 0) return true;
  return table(object, *type.type_refs[code.sequence_ref]());
}

}  // namespace

Status check_layout(const Event& event, std::span<const uint8_t> buffer) {
  Walk walk(event, buffer);
  if (walk.table(reinterpret_cast<const uint8_t*>(&event), *EventTypeTable())) return {};
  return Error::invalid(std::string("event buffer (") + EnumNamePayload(event.payload_type()) + ") of " +
                        std::to_string(buffer.size()) +
                        " bytes: " + (walk.why() ? walk.why() : "a vector of unions, which no schema has"));
}

}  // namespace ktstr
