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

// Of a plain map: a value of a per-CPU map has a copy for each CPU.
bool counts_entries(MapKind kind) {
  return kind == MapKind::kHash || kind == MapKind::kLruHash || kind == MapKind::kQueue ||
         kind == MapKind::kStack;
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
        value.timer = read_map_timer(kernel_, facts, place.at);
        if (element.owner && facts.kind() == MapKind::kTaskStorage) name_owner(element.owner, value);
        map.values.push_back(std::move(value));
      }
      return true;
    });
    if (!ended.empty()) map.note = ended;
    if (ended.empty() && counts_entries(facts.kind()))
      map.used = static_cast<int64_t>(map.values.size() + map.left_out);
    if (const auto ring = read_ring_use(kernel_, facts)) map.used = static_cast<int64_t>(ring->unread);
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
  Render(const KernelLayout& layout, const FreezeLimits& limits, uint64_t now_ns)
      : layout_(layout), fields_left_(limits.total_fields), limits_(limits), now_ns_(now_ns) {}

  std::unique_ptr<FrozenMapT> map(const FrozenGuest::Map& from) {
    auto out = std::make_unique<FrozenMapT>();
    out->id = from.facts.id;
    out->name = printable(from.facts.name);
    const auto type = layout_.map.type_names.find(from.facts.type);
    out->type_name = type == layout_.map.type_names.end() ? std::to_string(from.facts.type) : type->second;
    out->max_entries = from.facts.max_entries;
    out->entries_left_out = from.left_out;
    out->note = from.note;
    out->used = from.used;
    const BtfView* btf = view(from.btf);
    if (!btf && from.facts.kind() != MapKind::kArena && !is_number(from.facts) && out->note.empty())
      out->note = "no BTF: bytes";
    for (const FrozenGuest::Value& value : from.values) out->entries.push_back(entry(from.facts, value, btf));
    return out;
  }

 private:
  // Queues and stacks have no BTF: a value of this size is a pid or another number.
  static bool is_number(const MapFacts& map) {
    return (map.kind() == MapKind::kQueue || map.kind() == MapKind::kStack) &&
           (map.value_size == 4 || map.value_size == 8);
  }

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
    sink.timer = timer_text(value.timer);
    sink.limit = std::min(limits_.fields_per_entry, fields_left_);
    const uint32_t visits = sink.visits = std::min(sink.visits, visits_left_);
    if (map.kind() == MapKind::kArena) {
      words(value, sink);
    } else if (btf && map.value_type) {
      render_fields(*btf, map.value_type, value.bytes, "", sink);
    } else if (is_number(map) && value.bytes.size() == map.value_size) {
      uint64_t number = 0;
      std::memcpy(&number, value.bytes.data(), value.bytes.size());
      sink.add("value", std::to_string(number));
    } else {
      sink.add("value", render_bytes(value.bytes));
    }
    if (value.timer && value.timer->set) {
      out->timer = std::make_unique<FrozenTimerT>();
      out->timer->armed = value.timer->armed;
      out->timer->expires_ns = value.timer->expires_ns;
      out->timer->now_ns = now_ns_;
    }
    fields_left_ -= static_cast<uint32_t>(sink.fields.size());
    visits_left_ -= visits - sink.visits;
    out->fields = std::move(sink.fields);
    out->fields_left_out = sink.left_out;
    return out;
  }

  // Against the guest's clock at the freeze.
  std::string timer_text(const std::optional<MapTimer>& timer) const {
    if (!timer) return {};
    if (!timer->set) return "not initialised";
    if (timer->expires_ns == 0) return "never started";
    const bool past = timer->expires_ns < now_ns_;
    const std::string distance = human_ns(past ? now_ns_ - timer->expires_ns : timer->expires_ns - now_ns_);
    if (timer->armed) return past ? "armed, due for " + distance : "armed, due in " + distance;
    return past ? "not armed, was due " + distance + " ago" : "not armed, cancelled before it was due";
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
  uint64_t now_ns_;
  std::map<const void*, std::optional<BtfView>> views_;
};

}  // namespace

FrozenGuest capture(const GuestKernel& kernel, const FreezeLimits& limits, int scheduler_pid) {
  FrozenGuest out = Capture(kernel, limits).run();
  uint64_t now_ns = 0;
  for (const auto& cpu : out.facts.cpus) now_ns = std::max(now_ns, cpu->rq_clock);
  out.threads = capture_threads(kernel, scheduler_pid, now_ns);
  out.programs = capture_programs(kernel);
  return out;
}

GuestFrozenT render(FrozenGuest frozen, const KernelLayout& layout, const FreezeLimits& limits) {
  uint64_t now_ns = 0;
  for (const auto& cpu : frozen.facts.cpus) now_ns = std::max(now_ns, cpu->rq_clock);
  Render render(layout, limits, now_ns);
  for (const FrozenGuest::Map& map : frozen.maps) frozen.facts.maps.push_back(render.map(map));
  return std::move(frozen.facts);
}

}  // namespace ktstr
