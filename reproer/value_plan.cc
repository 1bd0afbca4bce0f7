#include "reproer/value_plan.h"

#include <algorithm>
#include <bit>
#include <iterator>

#include "schemas/probe_generated.h"

namespace ktstr {
namespace {

constexpr size_t kMaxDiscovered = 8;
constexpr size_t kMaxHops = 6;
constexpr uint32_t kMaxValueBytes = 64;

// wake_flags have no enum in BTF.
constexpr std::pair<const char*, uint64_t> kWakeFlags[] = {{"WF_EXEC", 0x2},      {"WF_FORK", 0x4},
                                                           {"WF_TTWU", 0x8},      {"WF_SYNC", 0x10},
                                                           {"WF_MIGRATED", 0x20}, {"WF_CURRENT_CPU", 0x40}};

bool ends_with_any(std::string_view s, std::initializer_list<std::string_view> tails) {
  return std::any_of(tails.begin(), tails.end(), [&](std::string_view t) { return s.ends_with(t); });
}

// By what a parameter is called: the set that names its bits.
const char* flag_enum(std::string_view name) {
  if (ends_with_any(name, {"enq_flags"})) return "scx_enq_flags";
  if (ends_with_any(name, {"deq_flags"})) return "scx_deq_flags";
  if (ends_with_any(name, {"wake_flags"})) return "wake_flags";
  return nullptr;
}

}  // namespace

uint32_t planned_bytes(const ValueSpecT& v) {
  if (v.format == ValueFormat::CString) return kMaxValueBytes;
  return v.offsets.empty() ? 0 : std::clamp<uint32_t>(v.size, 1, kMaxValueBytes);
}

bool ValuePlanner::fits(const ValueSpecs& out, const ValueSpecT& v) {
  uint32_t bytes = planned_bytes(v);
  for (const auto& o : out) bytes += planned_bytes(*o);
  return out.size() < kMaxTargetValues && bytes <= kMaxTargetBytes && v.offsets.size() <= kMaxHops;
}

void ValuePlanner::name_values(const char* enum_name, bool flags, ValueSpecT* v) {
  if (std::string_view(enum_name) == "wake_flags") {
    for (auto [name, value] : kWakeFlags) {
      v->enum_names.push_back(name);
      v->enum_values.push_back(value);
    }
    return;
  }
  auto it = enums_.find(enum_name);
  if (it == enums_.end()) {
    auto id = kernel_.find_enum(enum_name);
    it = enums_.emplace(enum_name, id ? kernel_.enumerators(*id) : std::vector<BtfEnumerator>{}).first;
  }
  // In a flag set, X_MASK with an X_SHIFT is a field of several bits; it is kept, and its values are matched
  // whole. Other masks, shifts and widths name no value.
  std::vector<uint64_t> fields;
  auto has = [&](const std::string& name) {
    return std::any_of(it->second.begin(), it->second.end(), [&](const auto& e) { return e.name == name; });
  };
  for (const BtfEnumerator& e : it->second) {
    if (!flags) {
      v->enum_names.push_back(e.name);
      v->enum_values.push_back(e.value);
      continue;
    }
    if (!e.name.ends_with("_MASK") || !has(e.name.substr(0, e.name.size() - 5) + "_SHIFT")) continue;
    fields.push_back(e.value);
    v->enum_names.push_back(e.name);
    v->enum_values.push_back(e.value);
  }
  if (!flags) return;
  // Up to 6.18 the states of a task's field are in their own enum, unshifted.
  if (std::string_view(enum_name) == "scx_ent_flags") {
    uint64_t shift = 0, mask = 0;
    bool inside = false;
    for (const BtfEnumerator& e : it->second) {
      if (e.name == "SCX_TASK_STATE_SHIFT") shift = e.value;
      if (e.name == "SCX_TASK_STATE_MASK") mask = e.value;
    }
    for (const BtfEnumerator& e : it->second)
      inside |= e.value && e.value != mask && (e.value & ~mask) == 0 && e.value >> shift;
    const auto states = inside || !mask ? std::nullopt : kernel_.find_enum("scx_task_state");
    if (states)
      for (const BtfEnumerator& e : kernel_.enumerators(*states)) {
        if (e.value == 0 || (e.value << shift & ~mask) != 0) continue;
        v->enum_names.push_back(e.name);
        v->enum_values.push_back(e.value << shift);
      }
  }
  for (const BtfEnumerator& e : it->second) {
    if (ends_with_any(e.name, {"_MASK", "_SHIFT", "_BITS"}) || e.value == 0) continue;
    const bool in_field =
        std::any_of(fields.begin(), fields.end(), [&](uint64_t m) { return (e.value & ~m) == 0; });
    if (!in_field && std::popcount(e.value) != 1) continue;
    v->enum_names.push_back(e.name);
    v->enum_values.push_back(e.value);
  }
}

void ValuePlanner::set_format(const BtfView& types, uint32_t type_id, std::string_view name,
                              const char* enum_name, ValueSpecT* v) {
  const BtfType t = types.resolve(type_id);
  v->type_name = types.type_name(type_id);
  v->size = static_cast<uint16_t>(std::clamp<uint32_t>(t.size, 1, kMaxValueBytes));
  switch (t.cls) {
    case BtfClass::kBool:
      v->format = ValueFormat::Bool;
      return;
    case BtfClass::kPointer: {
      const BtfType to = types.resolve(t.target);
      v->format = to.cls == BtfClass::kChar ? ValueFormat::CString : ValueFormat::Pointer;
      return;
    }
    case BtfClass::kArray:
      v->format = types.resolve(t.target).cls == BtfClass::kChar ? ValueFormat::String : ValueFormat::Hex;
      return;
    case BtfClass::kEnum:
      v->format = ValueFormat::Enum;
      for (const BtfEnumerator& e : types.enumerators(t.id)) {
        v->enum_names.push_back(e.name);
        v->enum_values.push_back(e.value);
      }
      return;
    default:
      break;
  }
  v->format = t.is_signed ? ValueFormat::Signed : ValueFormat::Unsigned;
  const bool one_dsq =
      name == "dsq_id" || ends_with_any(name, {".dsq_id", "->dsq_id", "ddsp_dsq_id", "dsq->id"});
  if (one_dsq && t.size == 8) {
    v->format = ValueFormat::DsqId;
  } else if (enum_name || flag_enum(name)) {
    v->format = ValueFormat::Flags;
    name_values(enum_name ? enum_name : flag_enum(name), true, v);
  } else if (ends_with_any(name, {"flags", "mask", "__state", "state", "addr"})) {
    v->format = ValueFormat::Hex;
  } else if (ends_with_any(name, {"slice"}) && t.size == 8) {
    for (const char* slices : {"scx_public_consts", "scx_consts"}) name_values(slices, false, v);
    for (size_t i = v->enum_names.size(); i-- > 0;)
      if (!v->enum_names[i].starts_with("SCX_SLICE_")) {
        v->enum_names.erase(v->enum_names.begin() + static_cast<std::ptrdiff_t>(i));
        v->enum_values.erase(v->enum_values.begin() + static_cast<std::ptrdiff_t>(i));
      }
  }
}

void ValuePlanner::add_curated(uint32_t struct_id, const ValueSpecT& base, const Wanted* wanted, size_t count,
                               ValueSpecs* out) {
  for (size_t i = 0; i < count; ++i) {
    auto chain = kernel_.chain(struct_id, wanted[i].path);
    if (!chain) continue;  // another kernel's field
    auto v = std::make_unique<ValueSpecT>();
    v->name = base.name + "->" + wanted[i].path;
    v->arg = base.arg;
    v->offsets = chain->offsets;
    const std::string_view path = wanted[i].path;
    if (path.ends_with("cpus_ptr.bits") || path == "bits") {
      v->name = base.name + (path == "bits" ? "" : "->cpus_ptr");
      v->type_name = "cpumask";
      v->format = ValueFormat::CpuMask;
      v->size = static_cast<uint16_t>(std::min<uint32_t>(kMaxValueBytes, (cpus_ + 63) / 64 * 8));
    } else {
      set_format(kernel_, chain->last.type_id, v->name, wanted[i].enum_name, v.get());
      if (path == "id") v->format = ValueFormat::DsqId;
      if (path.ends_with("dsq.id")) v->format = ValueFormat::DsqId;
      v->bit_offset = static_cast<uint8_t>(chain->last.bit_offset);
      v->bit_size = static_cast<uint8_t>(chain->last.bit_size);
    }
    if (fits(*out, *v)) out->push_back(std::move(v));
  }
}

void ValuePlanner::add_discovered(const BtfView& types, uint32_t struct_id, const ValueSpecT& base,
                                  ValueSpecs* out) {
  size_t found = 0;
  for (const BtfMember& m : types.members(struct_id)) {
    if (m.name.empty() || found == kMaxDiscovered) continue;
    const BtfType t = types.resolve(m.type_id);
    const bool text = t.cls == BtfClass::kArray && types.resolve(t.target).cls == BtfClass::kChar;
    const bool scalar = t.cls == BtfClass::kInt || t.cls == BtfClass::kBool || t.cls == BtfClass::kEnum ||
                        t.cls == BtfClass::kChar;
    if (!text && !scalar) continue;
    auto field = types.field(struct_id, m.name);
    if (!field) continue;
    auto v = std::make_unique<ValueSpecT>();
    v->name = base.name + "->" + m.name;
    v->arg = base.arg;
    v->offsets = {field->offset};
    set_format(types, m.type_id, v->name, nullptr, v.get());
    v->bit_offset = static_cast<uint8_t>(field->bit_offset);
    v->bit_size = static_cast<uint8_t>(field->bit_size);
    if (!fits(*out, *v)) return;
    out->push_back(std::move(v));
    ++found;
  }
}

// CO-RE programs carry partial copies of the kernel's structs, at other offsets: a struct of the same name,
// all of whose members the kernel's has too, is the kernel's.
bool ValuePlanner::from_kernel(const BtfView& types, const BtfType& record, uint32_t* kernel_id) {
  if (record.name.empty()) return false;
  if (&types == &kernel_) {
    *kernel_id = record.id;
    return true;
  }
  const std::string name = record.name.substr(0, record.name.find("___"));  // CO-RE flavours
  auto it = kernel_structs_.find(name);
  if (it == kernel_structs_.end())
    it = kernel_structs_.emplace(name, kernel_.find_struct(name).value_or(0)).first;
  if (!it->second) return false;
  for (const BtfMember& m : types.members(record.id))
    if (!m.name.empty() && !kernel_.field(it->second, m.name).ok()) return false;
  *kernel_id = it->second;
  return true;
}

void ValuePlanner::add_argument(const BtfView& types, uint8_t arg, const std::string& name, uint32_t type_id,
                                ValueSpecs* out) {
  static constexpr Wanted kTask[] = {{"pid", nullptr},
                                     {"comm", nullptr},
                                     {"thread_info.cpu", nullptr},
                                     {"on_cpu", nullptr},
                                     {"__state", nullptr},
                                     {"cpus_ptr.bits", nullptr},
                                     {"scx.flags", "scx_ent_flags"},
                                     {"scx.dsq.id", nullptr},
                                     {"scx.ddsp_dsq_id", nullptr},
                                     {"scx.slice", nullptr},
                                     {"scx.dsq_vtime", nullptr},
                                     {"scx.weight", nullptr},
                                     {"scx.sticky_cpu", nullptr}};
  static constexpr Wanted kRunQueue[] = {{"cpu", nullptr},
                                         {"nr_running", nullptr},
                                         {"curr.pid", nullptr},
                                         {"curr.comm", nullptr},
                                         {"scx.nr_running", nullptr},
                                         {"scx.flags", "scx_rq_flags"},
                                         {"scx.local_dsq.nr", nullptr}};
  static constexpr Wanted kDsq[] = {{"id", nullptr}, {"nr", nullptr}};
  static constexpr Wanted kSched[] = {{"ops.name", nullptr}, {"exit_kind.counter", nullptr}};
  static constexpr Wanted kCgroup[] = {{"kn.name", nullptr}, {"kn.id", nullptr}, {"level", nullptr}};
  static constexpr Wanted kExitInfo[] = {
      {"kind", nullptr}, {"exit_code", nullptr}, {"reason", nullptr}, {"msg", nullptr}};
  static constexpr Wanted kInitArgs[] = {{"fork", nullptr}, {"cgroup.kn.name", nullptr}};
  static constexpr Wanted kMask[] = {{"bits", nullptr}};
  struct Known {
    std::string_view name;
    const Wanted* wanted;
    size_t count;
  };
  static constexpr Known kKnown[] = {{"task_struct", kTask, std::size(kTask)},
                                     {"rq", kRunQueue, std::size(kRunQueue)},
                                     {"scx_dispatch_q", kDsq, std::size(kDsq)},
                                     {"scx_sched", kSched, std::size(kSched)},
                                     {"cgroup", kCgroup, std::size(kCgroup)},
                                     {"scx_exit_info", kExitInfo, std::size(kExitInfo)},
                                     {"scx_init_task_args", kInitArgs, std::size(kInitArgs)},
                                     {"cpumask", kMask, std::size(kMask)}};

  ValueSpecT base;
  base.name = name;
  base.arg = arg;
  set_format(types, type_id, name, nullptr, &base);
  if (base.size > 8) base.size = 8;
  const BtfType t = types.resolve(type_id);
  if (t.cls == BtfClass::kStruct || t.cls == BtfClass::kUnion) return;  // by value: not one register
  if (fits(*out, base)) out->push_back(std::make_unique<ValueSpecT>(base));
  if (t.cls != BtfClass::kPointer) return;

  const BtfType to = types.resolve(t.target);
  if (to.cls == BtfClass::kStruct || to.cls == BtfClass::kUnion || to.cls == BtfClass::kForward) {
    uint32_t kernel_id = 0;
    const bool kernel = from_kernel(types, to, &kernel_id);
    const std::string plain = to.name.substr(0, to.name.find("___"));
    for (const Known& k : kKnown)
      if (kernel && k.name == plain) return add_curated(kernel_id, base, k.wanted, k.count, out);
    if (to.cls != BtfClass::kForward)
      add_discovered(kernel ? kernel_ : types, kernel ? kernel_id : to.id, base, out);
  } else if (to.cls == BtfClass::kInt || to.cls == BtfClass::kBool || to.cls == BtfClass::kEnum) {
    auto v = std::make_unique<ValueSpecT>();
    v->name = "*" + name;
    v->arg = arg;
    v->offsets = {0};
    set_format(types, t.target, name, nullptr, v.get());
    if (fits(*out, *v)) out->push_back(std::move(v));
  }
}

}  // namespace ktstr
