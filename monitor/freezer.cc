#include "monitor/freezer.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>

#include "base/text.h"
#include "monitor/btf_value.h"
#include "monitor/walkers.h"
#include "schemas/monitor_generated.h"

namespace ktstr {
namespace {

bool all_zero(const std::vector<uint8_t>& bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](uint8_t b) { return b == 0; });
}

class Capture {
 public:
  Capture(const GuestKernel& kernel, const FreezeLimits& limits) : kernel_(kernel), limits_(limits) {}

  FrozenGuest run() {
    FrozenGuest out;
    name_scheduler(out.facts);
    freeze_queues(kernel_, limits_, out.facts);
    const auto maps = scheduler_maps(kernel_);
    if (!maps) out.facts.absent.push_back("maps: the list of BPF programs made no sense");
    if (maps && maps->empty()) out.facts.absent.push_back("maps: no program of sched_ext is loaded any more");
    if (!maps) return out;
    for (const MapFacts& facts : *maps) {
      if (out.maps.size() == limits_.maps) {
        out.facts.absent.push_back("maps: " + std::to_string(maps->size() - limits_.maps) +
                                   " more were not read");
        break;
      }
      out.maps.push_back(copy(facts));
    }
    return out;
  }

 private:
  void name_scheduler(GuestFrozenT& facts) const {
    const auto root = read_scx_root(kernel_);
    const Field& name = kernel_.layout().scx.ops_name;
    if (root && root->address && name)
      facts.ops_name =
          kernel_.memory().text(root->address + name.offset, std::min(name.size, 128u)).value_or("");
  }

  FrozenGuest::Map copy(const MapFacts& facts) {
    FrozenGuest::Map map;
    map.facts = facts;
    map.btf = btf_of(facts);
    const bool sparse = facts.kind() == MapKind::kArray || facts.kind() == MapKind::kPerCpuArray;
    const std::string ended = walk_map(kernel_, facts, limits_.steps_per_map, [&](const MapElement& element) {
      for (const MapElement::Copy& place : element.copies) {
        if (map.values.size() >= limits_.entries_per_map) {
          ++map.left_out;
          continue;
        }
        FrozenGuest::Value value;
        value.bytes.resize(std::min(place.bytes, limits_.value_bytes));
        if (value.bytes.size() > limits_.total_bytes - taken_) {
          ++map.left_out;
          continue;
        }
        if (value.bytes.size() > limits_.read_bytes - read_) {
          map.note = "there was too much to read: the rest is left out";
          return false;
        }
        read_ += value.bytes.size();
        if (!kernel_.memory().read(place.at, value.bytes.data(), value.bytes.size())) {
          map.note = "a value was not readable";
          continue;
        }
        // Elements of arrays that were never written say nothing.
        if (sparse && facts.max_entries * element.copies.size() > 1 && all_zero(value.bytes)) continue;
        taken_ += static_cast<uint32_t>(value.bytes.size());
        if (place.bytes > value.bytes.size())
          map.note = "values of " + std::to_string(place.bytes) + " bytes are cut";
        value.key = element.key;
        value.cpu = place.cpu;
        value.owner = element.owner;
        if (element.owner && facts.kind() == MapKind::kTaskStorage) name_owner(element.owner, value);
        map.values.push_back(std::move(value));
      }
      return true;
    });
    if (!ended.empty()) map.note = ended;
    return map;
  }

  void name_owner(uint64_t task, FrozenGuest::Value& value) const {
    TaskReading r;
    if (!read_task(kernel_, task, r)) return;
    value.owner_pid = r.pid;
    value.owner_comm = std::string(r.comm.data(), ::strnlen(r.comm.data(), r.comm.size()));
  }

  std::shared_ptr<const std::vector<uint8_t>> btf_of(const MapFacts& map) {
    const auto [it, fresh] = btfs_.try_emplace(map.btf);
    if (fresh) it->second = std::make_shared<const std::vector<uint8_t>>(read_map_btf(kernel_, map));
    return it->second;
  }

  const GuestKernel& kernel_;
  const FreezeLimits& limits_;
  uint32_t taken_ = 0;
  uint64_t read_ = 0;
  std::map<uint64_t, std::shared_ptr<const std::vector<uint8_t>>> btfs_;
};

class Render {
 public:
  Render(const KernelLayout& layout, const FreezeLimits& limits)
      : layout_(layout), fields_left_(limits.total_fields), limits_(limits) {}

  std::unique_ptr<FrozenMapT> map(const FrozenGuest::Map& from) {
    auto out = std::make_unique<FrozenMapT>();
    out->id = from.facts.id;
    out->name = printable(from.facts.name);
    const auto type = layout_.map.type_names.find(from.facts.type);
    out->type_name = type == layout_.map.type_names.end() ? std::to_string(from.facts.type) : type->second;
    out->max_entries = from.facts.max_entries;
    out->entries_left_out = from.left_out;
    out->note = from.note;
    const BtfView* btf = view(from.btf);
    if (!btf && from.facts.kind() != MapKind::kArena && out->note.empty()) out->note = "no BTF: bytes";
    for (const FrozenGuest::Value& value : from.values) out->entries.push_back(entry(from.facts, value, btf));
    return out;
  }

 private:
  const BtfView* view(const std::shared_ptr<const std::vector<uint8_t>>& bytes) {
    if (!bytes || bytes->empty()) return nullptr;
    const auto [it, fresh] = views_.try_emplace(bytes.get());
    if (fresh) {
      auto parsed = BtfView::from_bytes(*bytes);
      if (parsed) it->second.emplace(std::move(*parsed));
    }
    return it->second ? &*it->second : nullptr;
  }

  std::unique_ptr<FrozenEntryT> entry(const MapFacts& map, const FrozenGuest::Value& value,
                                      const BtfView* btf) {
    auto out = std::make_unique<FrozenEntryT>();
    out->key = key(map, value, btf);
    FieldSink sink;
    sink.limit = std::min(limits_.fields_per_entry, fields_left_);
    const uint32_t visits = sink.visits = std::min(sink.visits, visits_left_);
    if (map.kind() == MapKind::kArena) {
      words(value, sink);
    } else if (btf && map.value_type) {
      render_fields(*btf, map.value_type, value.bytes, "", sink);
    } else {
      sink.add("value", render_bytes(value.bytes));
    }
    fields_left_ -= static_cast<uint32_t>(sink.fields.size());
    visits_left_ -= visits - sink.visits;
    out->fields = std::move(sink.fields);
    out->fields_left_out = sink.left_out;
    return out;
  }

  // An arena has no type: the words of a page that are not zero, by address.
  static void words(const FrozenGuest::Value& value, FieldSink& sink) {
    uint64_t user = 0;
    std::memcpy(&user, value.key.data(), std::min<size_t>(value.key.size(), 8));
    for (size_t at = 0; at + 8 <= value.bytes.size(); at += 8) {
      uint64_t word = 0;
      std::memcpy(&word, value.bytes.data() + at, 8);
      if (word) sink.add(hex(user + at), hex(word));
    }
  }

  std::string key(const MapFacts& map, const FrozenGuest::Value& value, const BtfView* btf) const {
    std::string out;
    if (map.kind() == MapKind::kArena) {
      uint64_t user = 0;
      std::memcpy(&user, value.key.data(), std::min<size_t>(value.key.size(), 8));
      out = hex(user);
    } else if (value.owner_pid >= 0) {
      out = printable(value.owner_comm) + "[" + std::to_string(value.owner_pid) + "]";
    } else if (value.owner) {
      out = hex(value.owner);
    } else if (map.kind() == MapKind::kArray || map.kind() == MapKind::kPerCpuArray) {
      uint32_t index = 0;
      std::memcpy(&index, value.key.data(), std::min<size_t>(value.key.size(), 4));
      if (map.max_entries > 1) out = std::to_string(index);
    } else if (btf && map.key_type) {
      FieldSink parts;
      parts.limit = 8;
      render_fields(*btf, map.key_type, value.key, "", parts);
      for (const auto& part : parts.fields) {
        out += out.empty() ? "" : ", ";
        out += parts.fields.size() == 1 ? part->value : part->name + " " + part->value;
      }
    } else {
      out = render_bytes(value.key);
    }
    if (value.cpu >= 0) out += (out.empty() ? "CPU " : ", CPU ") + std::to_string(value.cpu);
    return out;
  }

  const KernelLayout& layout_;
  uint32_t fields_left_;
  uint32_t visits_left_ = 1u << 23;
  const FreezeLimits& limits_;
  std::map<const void*, std::optional<BtfView>> views_;
};

}  // namespace

FrozenGuest capture(const GuestKernel& kernel, const FreezeLimits& limits) {
  return Capture(kernel, limits).run();
}

GuestFrozenT render(FrozenGuest frozen, const KernelLayout& layout, const FreezeLimits& limits) {
  Render render(layout, limits);
  for (const FrozenGuest::Map& map : frozen.maps) frozen.facts.maps.push_back(render.map(map));
  return std::move(frozen.facts);
}

}  // namespace ktstr
