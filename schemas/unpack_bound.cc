// Walks the buffer by the generated type tables, so a payload that is added to the schema is bounded too.
// flatbuffers::IterateFlatBuffer cannot be stopped half way, and without a stop the walk itself is the attack.
#include "schemas/unpack_bound.h"

#include <flatbuffers/minireflect.h>

namespace ktstr {
namespace {

namespace fb = flatbuffers;

constexpr uint64_t kReference = 4;  // an offset, a length, a table's way to its vtable

class Budget {
 public:
  explicit Budget(uint64_t bytes) : left_(bytes) {}

  // All of these: false once more was taken than there is.
  bool take(uint64_t bytes) {
    if (bytes > left_) return false;
    left_ -= bytes;
    return true;
  }
  bool table(const uint8_t* object, const fb::TypeTable& type);

 private:
  bool field(const uint8_t* value, const uint8_t* before, fb::ElementaryType kind, const fb::TypeTable* type);
  bool vector(const uint8_t* value, fb::ElementaryType kind, const fb::TypeTable* type);
  // What a counted reference points to.
  bool target(const uint8_t* value, fb::ElementaryType kind, const fb::TypeTable* type);
  bool member(uint8_t selected, const uint8_t* object, const fb::TypeTable& type);

  uint64_t left_;
};

const uint8_t* follow(const uint8_t* value) { return value + fb::ReadScalar<fb::uoffset_t>(value); }

bool is_reference(fb::ElementaryType kind, const fb::TypeTable* type) {
  return kind == fb::ET_STRING || (kind == fb::ET_SEQUENCE && type && type->st != fb::ST_STRUCT);
}

bool Budget::table(const uint8_t* object, const fb::TypeTable& type) {
  if (!take(kReference)) return false;
  const uint8_t* before = nullptr;
  for (size_t i = 0; i < type.num_elems; ++i) {
    const fb::TypeCode code = type.type_codes[i];
    const fb::TypeTable* of = code.sequence_ref >= 0 ? type.type_refs[code.sequence_ref]() : nullptr;
    const uint8_t* value = reinterpret_cast<const fb::Table*>(object)->GetAddressOf(
        fb::FieldIndexToOffset(static_cast<fb::voffset_t>(i)));
    const auto kind = static_cast<fb::ElementaryType>(code.base_type);
    if (value && !(code.is_repeating ? vector(value, kind, of) : field(value, before, kind, of)))
      return false;
    before = value;
  }
  return true;
}

bool Budget::field(const uint8_t* value, const uint8_t* before, fb::ElementaryType kind,
                   const fb::TypeTable* type) {
  if (!is_reference(kind, type)) return true;  // its value is in the table
  if (!take(kReference)) return false;
  if (kind == fb::ET_SEQUENCE && type->st == fb::ST_UNION)
    return !before || member(*before, follow(value), *type);
  return target(value, kind, type);
}

bool Budget::vector(const uint8_t* value, fb::ElementaryType kind, const fb::TypeTable* type) {
  const auto* elements = reinterpret_cast<const fb::Vector<uint8_t>*>(follow(value));
  const size_t step = fb::InlineSize(kind, type);
  if (!take(2 * kReference + uint64_t{elements->size()} * step)) return false;
  if (!is_reference(kind, type)) return true;
  if (kind == fb::ET_SEQUENCE && type->st == fb::ST_UNION) return false;  // the schema has none
  const uint8_t* at = elements->Data();
  for (size_t i = 0; i < elements->size(); ++i, at += step)
    if (!target(at, kind, type)) return false;
  return true;
}

bool Budget::target(const uint8_t* value, fb::ElementaryType kind, const fb::TypeTable* type) {
  if (kind == fb::ET_STRING)
    return take(kReference + reinterpret_cast<const fb::String*>(follow(value))->size());
  return table(follow(value), *type);
}

bool Budget::member(uint8_t selected, const uint8_t* object, const fb::TypeTable& type) {
  const int64_t index = fb::LookupEnum(selected, type.values, type.num_elems);
  if (index < 0 || static_cast<size_t>(index) >= type.num_elems) return true;  // never unpacked
  const fb::TypeCode code = type.type_codes[index];
  if (code.base_type != fb::ET_SEQUENCE || code.sequence_ref < 0) return true;
  return table(object, *type.type_refs[code.sequence_ref]());
}

}  // namespace

bool unpacks_within_its_size(const EventBuffer& event) {
  const auto* root = reinterpret_cast<const uint8_t*>(&event.get());
  return Budget(event.bytes().size()).table(root, *EventTypeTable());
}

}  // namespace ktstr
