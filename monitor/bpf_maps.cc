#include "monitor/bpf_maps.h"

#include <algorithm>
#include <cstring>

#include "monitor/walkers.h"

namespace ktstr {
namespace {

constexpr uint32_t kMaxStorageLog = 20;
constexpr uint64_t kArenaGuard = 32768;  // half of GUARD_SZ, below the first page (kernel/bpf/arena.c)
constexpr uint64_t kPage = 4096;

uint32_t up_to_8(uint32_t bytes) { return (bytes + 7) & ~7u; }

class MapWalk {
 public:
  MapWalk(const GuestKernel& kernel, const MapFacts& map, uint32_t budget,
          const std::function<bool(const MapElement&)>& visit)
      : kernel_(kernel),
        memory_(kernel.memory()),
        l_(kernel.layout().map),
        map_(map),
        budget_(budget),
        visit_(visit) {}

  std::string run() {
    switch (map_.kind()) {
      case MapKind::kArray:
      case MapKind::kPerCpuArray:
        return arrays(map_.kind() == MapKind::kPerCpuArray);
      case MapKind::kHash:
      case MapKind::kLruHash:
        return hashes(false);
      case MapKind::kPerCpuHash:
      case MapKind::kLruPerCpuHash:
        return hashes(true);
      case MapKind::kTaskStorage:
      case MapKind::kCgroupStorage:
        return storage();
      case MapKind::kArena:
        return arena();
      case MapKind::kQueue:
      case MapKind::kStack:
        return queue(map_.kind() == MapKind::kStack);
      case MapKind::kRingBuffer:
        return {};  // records, not elements: read_ring_use()
      default:
        return "values of this kind of map are not read";
    }
  }

 private:
  static constexpr const char* kWild = "a pointer led nowhere";
  static constexpr const char* kTooLong = "too many elements: the walk was cut";
  static constexpr const char* kNoLayout = "this kernel's layout of such maps is not known";

  bool spend() { return budget_ > 0 && budget_-- > 0; }

  void per_cpu(uint64_t base) {
    element_.copies.clear();
    for (uint32_t cpu = 0; cpu < kernel_.cpus(); ++cpu) {
      if (kernel_.possible(cpu))
        element_.copies.push_back({static_cast<int>(cpu), kernel_.per_cpu(base, cpu), map_.value_size});
    }
  }

  std::string arrays(bool is_per_cpu) {
    if (!l_.array_values || !l_.array_stride) return kNoLayout;
    const auto stride = l_.array_stride.read(memory_, map_.address);
    if (!stride || *stride < map_.value_size) return kWild;
    const uint64_t values = map_.address + l_.array_values.offset;
    for (uint32_t i = 0; i < map_.max_entries; ++i) {
      if (!spend()) return kTooLong;
      element_.key.resize(4);
      std::memcpy(element_.key.data(), &i, 4);
      if (is_per_cpu) {
        const auto pointer = memory_.pointer(values + uint64_t{i} * 8);
        if (!pointer) return kWild;
        per_cpu(*pointer);
      } else {
        element_.copies = {{-1, values + i * *stride, map_.value_size}};
      }
      if (!visit_(element_)) return {};
    }
    return {};
  }

  std::string hashes(bool is_per_cpu) {
    if (!l_.buckets || !l_.bucket_count || !l_.element_key || l_.bucket_bytes == 0) return kNoLayout;
    const auto buckets = l_.buckets.read(memory_, map_.address);
    const auto count = l_.bucket_count.read(memory_, map_.address);
    if (!buckets || !count || map_.key_size == 0 || map_.key_size > kMaxKeyBytes) return kWild;
    element_.key.resize(map_.key_size);
    for (uint64_t i = 0; i < *count; ++i) {
      if (!spend()) return kTooLong;
      auto node = memory_.pointer(*buckets + i * l_.bucket_bytes + l_.bucket_first);
      // hlist_nulls: a chain ends at an odd pointer.
      for (; node && !(*node & 1); node = memory_.pointer(*node)) {
        if (!spend()) return kTooLong;
        const uint64_t key = *node + l_.element_key.offset, value = key + up_to_8(map_.key_size);
        if (*node == 0 || !memory_.read(key, element_.key.data(), element_.key.size())) return kWild;
        if (is_per_cpu) {
          const auto pointer = memory_.pointer(value);
          if (!pointer) return kWild;
          per_cpu(*pointer);
        } else {
          element_.copies = {{-1, value, map_.value_size}};
        }
        if (!visit_(element_)) return {};
      }
      if (!node) return kWild;
    }
    return {};
  }

  // struct bpf_queue_stack: pushed at `head`; a queue pops at `tail`, a stack below `head`.
  std::string queue(bool is_stack) {
    if (!l_.queue_head || !l_.queue_tail || !l_.queue_size || !(l_.queue_elements.offset)) return kNoLayout;
    const auto head = l_.queue_head.read(memory_, map_.address),
               tail = l_.queue_tail.read(memory_, map_.address),
               size = l_.queue_size.read(memory_, map_.address);
    if (!head || !tail || !size || *size == 0 || *head >= *size || *tail >= *size) return kWild;
    const uint64_t count = (*head + *size - *tail) % *size;
    for (uint64_t i = 0; i < count; ++i) {
      if (!spend()) return kTooLong;
      const uint64_t index = is_stack ? (*head + *size - 1 - i) % *size : (*tail + i) % *size;
      element_.copies = {
          {-1, map_.address + l_.queue_elements.offset + index * map_.value_size, map_.value_size}};
      if (!visit_(element_)) return {};
    }
    return {};
  }

  std::string storage() {
    if (!l_.storage_buckets || !l_.storage_log || !l_.storage_node || !l_.storage_data ||
        l_.storage_bucket_bytes == 0)
      return kNoLayout;
    const auto buckets = l_.storage_buckets.read(memory_, map_.address);
    const auto log = l_.storage_log.read(memory_, map_.address);
    if (!buckets || !log || *log > kMaxStorageLog) return kWild;
    for (uint64_t i = 0; i < (uint64_t{1} << *log); ++i) {
      if (!spend()) return kTooLong;
      auto node = memory_.pointer(*buckets + i * l_.storage_bucket_bytes + l_.storage_first);
      for (; node && *node != 0; node = memory_.pointer(*node)) {
        if (!spend()) return kTooLong;
        const uint64_t element = *node - l_.storage_node.offset;
        const auto head = l_.storage_head.read(memory_, element);
        const auto owner = head && *head ? l_.storage_owner.read(memory_, *head) : std::nullopt;
        element_.owner = owner.value_or(0);
        element_.copies = {{-1, element + l_.storage_data.offset, map_.value_size}};
        if (!visit_(element_)) return {};
      }
      if (!node) return kWild;
    }
    return {};
  }

  // Pages that are there, by the address that the scheduler's user half knows them under. One frame behind
  // many addresses is the page that newer kernels put where nothing was allocated.
  std::string arena() {
    if (!l_.arena_start || !l_.arena_vm || !l_.vm_address) return kNoLayout;
    const auto start = l_.arena_start.read(memory_, map_.address);
    const auto vm = l_.arena_vm.read(memory_, map_.address);
    const auto base = vm ? l_.vm_address.read(memory_, *vm) : std::nullopt;
    if (!start || !base) return kWild;
    std::vector<std::pair<uint64_t, uint64_t>> pages;  // frame, user address
    bool cut = false;
    for (uint64_t i = 0; i < map_.max_entries && !cut; ++i) {
      const uint64_t user = *start + i * kPage;
      const auto frame = memory_.translate(*base + kArenaGuard + static_cast<uint32_t>(user));
      if (frame) pages.emplace_back(*frame, user);
      cut = !spend();
    }
    std::sort(pages.begin(), pages.end());
    std::vector<uint64_t> own;
    for (size_t i = 0; i < pages.size(); ++i) {
      const bool shared = (i > 0 && pages[i - 1].first == pages[i].first) ||
                          (i + 1 < pages.size() && pages[i + 1].first == pages[i].first);
      if (!shared) own.push_back(pages[i].second);
    }
    std::sort(own.begin(), own.end());
    for (const uint64_t user : own) {
      element_.key.resize(8);
      std::memcpy(element_.key.data(), &user, 8);
      element_.copies = {{-1, *base + kArenaGuard + static_cast<uint32_t>(user), kPage}};
      if (!visit_(element_)) return {};
    }
    return cut ? "only its first pages were looked at" : "";
  }

  const GuestKernel& kernel_;
  const PagedMemory& memory_;
  const MapLayout& l_;
  const MapFacts& map_;
  uint32_t budget_;
  const std::function<bool(const MapElement&)>& visit_;
  MapElement element_;
};

}  // namespace

std::optional<MapFacts> read_map_facts(const GuestKernel& kernel, uint64_t address) {
  const GuestMemory& memory = kernel.memory();
  const ProgramLayout& p = kernel.layout().program;
  const MapLayout& l = kernel.layout().map;
  const auto number = [&](const Field& field) {
    return static_cast<uint32_t>(field.read(memory, address).value_or(0));
  };
  MapFacts map;
  map.address = address;
  const auto id = p.map_id.read(memory, address);
  const auto type = p.map_type.read(memory, address);
  if (!id || !type) return std::nullopt;
  map.id = static_cast<uint32_t>(*id);
  map.type = static_cast<uint32_t>(*type);
  map.key_size = number(p.map_key_size);
  map.value_size = number(p.map_value_size);
  map.max_entries = number(p.map_max_entries);
  map.name = memory.text(address + p.map_name.offset, p.map_name.size).value_or("");
  map.flags = number(l.flags);
  map.key_type = number(l.key_type);
  map.value_type = number(l.value_type);
  map.kernel_value_type = number(l.kernel_value_type);
  map.btf = l.btf.read(memory, address).value_or(0);
  map.record = l.record.read(memory, address).value_or(0);
  map.frozen = l.frozen.read(memory, address).value_or(0) & 1;
  return map;
}

std::optional<std::vector<MapFacts>> scheduler_maps(const GuestKernel& kernel) {
  ProgramWalker walker(kernel);
  Reading reading;
  if (!walker.read(reading)) return std::nullopt;
  std::vector<MapFacts> out;
  for (const ProgramReading& program : reading.programs) {
    for (const uint64_t address : program.facts->map_addresses) {
      if (std::any_of(out.begin(), out.end(), [&](const MapFacts& m) { return m.address == address; }))
        continue;
      if (auto map = read_map_facts(kernel, address)) out.push_back(std::move(*map));
    }
  }
  std::sort(out.begin(), out.end(), [](const MapFacts& a, const MapFacts& b) { return a.id < b.id; });
  return out;
}

bool walk_all_maps(const GuestKernel& kernel, const std::function<bool(uint64_t)>& visit) {
  const uint64_t idr = kernel.places().map_idr;
  if (!idr || !kernel.layout().program.idr_head) return false;
  std::vector<uint64_t> found;
  if (!collect_idr(kernel, idr, found)) return false;
  for (const uint64_t map : found)
    if (!visit(map)) break;
  return true;
}

std::vector<uint8_t> read_map_btf(const GuestKernel& kernel, const MapFacts& map) {
  const MapLayout& l = kernel.layout().map;
  if (map.btf == 0) return {};
  const auto data = l.btf_data.read(kernel.memory(), map.btf);
  const auto bytes = l.btf_bytes.read(kernel.memory(), map.btf);
  if (!data || !bytes || *bytes == 0 || *bytes > kMaxProgramBtf) return {};
  std::vector<uint8_t> out(*bytes);
  if (!kernel.memory().read(*data, out.data(), out.size())) return {};
  return out;
}

std::optional<MapTimer> read_map_timer(const GuestKernel& kernel, const MapFacts& map, uint64_t value) {
  const MapLayout& l = kernel.layout().map;
  const GuestMemory& memory = kernel.memory();
  if (map.record == 0 || !l.timer || !l.timer_queued || !l.timer_expires) return std::nullopt;
  const auto offset = l.timer_offset.read(memory, map.record);
  if (!offset || static_cast<int64_t>(*offset) < 0 || *offset >= map.value_size) return std::nullopt;
  const auto timer = l.timer.read(memory, value + *offset);
  if (!timer) return std::nullopt;
  if (*timer == 0) return MapTimer{};
  const auto queued = l.timer_queued.read(memory, *timer), expires = l.timer_expires.read(memory, *timer);
  if (!queued || !expires) return std::nullopt;
  return MapTimer{.set = true, .armed = (*queued & 1) != 0, .expires_ns = *expires};
}

std::optional<RingUse> read_ring_use(const GuestKernel& kernel, const MapFacts& map) {
  const MapLayout& l = kernel.layout().map;
  const GuestMemory& memory = kernel.memory();
  if (map.kind() != MapKind::kRingBuffer) return std::nullopt;
  const auto ring = l.ring.read(memory, map.address);
  if (!ring || *ring == 0) return std::nullopt;
  const auto consumer = l.ring_consumer.read(memory, *ring), producer = l.ring_producer.read(memory, *ring),
             mask = l.ring_mask.read(memory, *ring);
  if (!consumer || !producer || !mask || *producer - *consumer > *mask + 1) return std::nullopt;
  return RingUse{.unread = *producer - *consumer, .size = *mask + 1};
}

std::string walk_map(const GuestKernel& kernel, const MapFacts& map, uint32_t budget,
                     const std::function<bool(const MapElement&)>& visit) {
  return MapWalk(kernel, map, budget, visit).run();
}

}  // namespace ktstr
