#include "monitor/map_poke.h"

#include <algorithm>
#include <cstring>

#include "base/text.h"
#include "monitor/bpf_maps.h"
#include "monitor/btf_value.h"
#include "schemas/monitor_generated.h"
#include "schemas/spec_generated.h"

namespace ktstr {
namespace {

constexpr size_t kNameBytes = 15;         // BPF_OBJ_NAME_LEN less its NUL
constexpr uint32_t kMaxSteps = 1u << 22;  // of a walk to an element

Result<MapFacts> find_map(const GuestKernel& kernel, const std::string& asked) {
  const auto maps = scheduler_maps(kernel);
  if (!maps) return Error::invalid("the list of BPF programs made no sense; try another time");
  if (maps->empty()) return Error::not_found("no scheduler is loaded");
  const MapFacts* found = nullptr;
  std::string known;
  for (const MapFacts& map : *maps) {
    known += (known.empty() ? "" : ", ") + printable(map.name);
    if (!names_map(asked, map.name)) continue;
    if (found)
      return Error::invalid("more than one map goes by this name: " + printable(found->name) + " (id " +
                            std::to_string(found->id) + ") and " + printable(map.name) + " (id " +
                            std::to_string(map.id) + ")");
    found = &map;
  }
  if (!found) return Error::not_found("the scheduler's programs use no such map; they use " + known);
  return *found;
}

Result<std::vector<uint8_t>> encode_key(const BtfView& btf, const MapFacts& map, const std::string& text) {
  if (map.key_type != 0) {
    auto place = find_place(btf, map.key_type, "");
    if (!place) return std::move(place).error();
    if (btf.resolve(map.key_type).cls != BtfClass::kStruct && place->size == map.key_size) {
      auto key = encode_value(btf, *place, text);
      return key ? std::move(key) : Result<std::vector<uint8_t>>(std::move(key).error().within("key"));
    }
    return Error::unsupported("keys of type " + place->type_name + " cannot be written down");
  }
  char* end = nullptr;
  const uint64_t number = std::strtoull(text.c_str(), &end, 0);
  if (text.empty() || *end || map.key_size > 8) return Error::invalid("key: \"" + text + "\" is no number");
  std::vector<uint8_t> key(map.key_size);
  std::memcpy(key.data(), &number, key.size());
  return key;
}

Result<MapElement> find_element(const GuestKernel& kernel, const MapFacts& map, const BtfView& btf,
                                const std::string& text) {
  std::vector<uint8_t> key;
  switch (map.kind()) {
    case MapKind::kArray:
    case MapKind::kPerCpuArray: {
      char* end = nullptr;
      const uint64_t index = text.empty() ? 0 : std::strtoull(text.c_str(), &end, 0);
      if (end && (*end || end == text.c_str())) return Error::invalid("key: \"" + text + "\" is no index");
      if (index >= map.max_entries)
        return Error::invalid("key: " + text + ": the map has " + std::to_string(map.max_entries) +
                              " elements");
      const auto small = static_cast<uint32_t>(index);
      key.resize(4);
      std::memcpy(key.data(), &small, 4);
      break;
    }
    case MapKind::kHash:
    case MapKind::kLruHash:
    case MapKind::kPerCpuHash:
    case MapKind::kLruPerCpuHash: {
      if (text.empty()) return Error::invalid("this map is a hash: say which element (key = …)");
      auto encoded = encode_key(btf, map, text);
      if (!encoded) return std::move(encoded).error();
      key = std::move(*encoded);
      break;
    }
    default:
      return Error::unsupported("values of this kind of map (" + std::to_string(map.type) +
                                ") are not written");
  }
  std::optional<MapElement> found;
  const std::string why = walk_map(kernel, map, kMaxSteps, [&](const MapElement& element) {
    if (element.key == key) found = element;
    return !found;
  });
  if (found) return *found;
  return Error::not_found(why.empty() ? "the map has no element with key " + text : why);
}

bool elements_move(const MapFacts& map) {
  return map.kind() != MapKind::kArray && map.kind() != MapKind::kPerCpuArray;
}

// Holds the VM while it lives; without `hold` it does nothing.
class Held {
 public:
  explicit Held(VmHold* hold) : hold_(hold) {
    if (hold_) status_ = hold_->hold();
  }
  ~Held() {
    if (hold_) (void)hold_->release();
  }
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;
  const Status& status() const { return status_; }

 private:
  VmHold* hold_;
  Status status_;
};

Status poke(const GuestKernel& kernel, RamWriter& writer, const MapWriteT& wanted, VmHold* hold,
            MapWrittenT& said) {
  const auto map = find_map(kernel, wanted.map);
  if (!map) return map.error();
  if (map->frozen)
    return Error::unsupported(
        "the map is read-only since it was loaded: the verifier has compiled its values into the programs");
  if (map->value_type == 0) return Error::unsupported("the map's values have no BTF: no field can be named");
  const std::vector<uint8_t> bytes = read_map_btf(kernel, *map);
  if (bytes.empty()) return Error::invalid("the program's BTF is not readable");
  const auto btf = BtfView::from_bytes(bytes);
  if (!btf) return btf.error();
  const auto place = find_place(*btf, map->value_type, wanted.field);
  if (!place) return place.error();
  if (place->size == 0 || place->offset > map->value_size || place->size > map->value_size - place->offset)
    return Error::invalid("by its BTF the field is not within the value");
  const auto value = encode_value(*btf, *place, wanted.value);
  if (!value) return value.error();
  const Held held(elements_move(*map) ? hold : nullptr);
  if (!held.status())
    return Error::system("the VM could not be paused for an element of a hash: " +
                         held.status().error().message());
  const auto element = find_element(kernel, *map, *btf, wanted.key);
  if (!element) return element.error();

  const auto look = [&](std::string& out) {
    std::vector<uint8_t> now(place->size);
    if (!element->copies.empty() &&
        kernel.memory().read(element->copies[0].at + place->offset, now.data(), now.size()))
      out = render_leaf(*btf, place->type_id, now);
  };
  look(said.before);
  for (const MapElement::Copy& copy : element->copies) {
    if (auto status = write_guest(kernel.memory(), writer, copy.at + place->offset, *value); !status)
      return status;
  }
  look(said.after);
  return {};
}

}  // namespace

bool names_map(std::string_view asked, std::string_view name) {
  if (asked.empty()) return false;
  if (asked.substr(0, kNameBytes) == name) return true;
  const size_t asked_dot = asked.find('.'), dot = name.find('.');
  if (asked_dot == asked.npos || dot == name.npos) return false;
  // libbpf cuts the object's name, and never the section's.
  const std::string_view prefix = name.substr(0, dot);
  return asked.substr(asked_dot) == name.substr(dot) &&
         (asked_dot == 0 || (!prefix.empty() && asked.substr(0, asked_dot).starts_with(prefix)));
}

MapWrittenT poke_map(const GuestKernel& kernel, RamWriter& writer, const MapWriteT& wanted, uint32_t index,
                     VmHold* hold) {
  MapWrittenT said;
  said.map = wanted.map;
  said.field = wanted.field;
  said.index = index;
  kernel.refresh();
  if (auto status = poke(kernel, writer, wanted, hold, said); !status) said.error = status.error().message();
  return said;
}

}  // namespace ktstr
