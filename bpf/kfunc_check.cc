// Damaged kfunc descriptions in a kernel's BTF. Some builds of 7.1 and 7.2 (Debian's backports) are known to have them, a
// different handful of kfuncs each.
#include <bpf/btf.h>

#include <algorithm>
#include <memory>
#include <set>

#include "bpf/kernel_image.h"

namespace ktstr {
namespace {

constexpr std::string_view kPrefixes[] = {"scx_bpf_", "__scx_bpf_", "bpf_iter_scx_"};
constexpr std::string_view kImpl = "_impl";
constexpr size_t kMostNamed = 2;

struct FreeBtf {
  void operator()(btf* b) const { btf__free(b); }
};

bool of_sched_ext(std::string_view name) {
  return std::any_of(std::begin(kPrefixes), std::end(kPrefixes),
                     [&](auto prefix) { return name.starts_with(prefix); });
}

const btf_type* without_qualifiers(const btf* types, uint32_t id) {
  const btf_type* type = btf__type_by_id(types, id);
  for (int depth = 0; type && depth < 16 && (btf_is_mod(type) || btf_is_typedef(type)); ++depth)
    type = btf__type_by_id(types, type->type);
  return type;
}

bool ends_with_program(const btf* types, const btf_type* function) {
  const btf_type* prototype = btf__type_by_id(types, function->type);
  if (!prototype || !btf_is_func_proto(prototype) || btf_vlen(prototype) == 0) return false;
  const btf_type* last = without_qualifiers(types, btf_params(prototype)[btf_vlen(prototype) - 1].type);
  if (!last || !btf_is_ptr(last)) return false;
  const btf_type* to = without_qualifiers(types, last->type);
  const char* name = to ? btf__name_by_offset(types, to->name_off) : nullptr;
  return name && std::string_view(name) == "bpf_prog_aux";
}

}  // namespace

std::vector<std::string> damaged_kfuncs(std::span<const uint8_t> bytes) {
  std::vector<std::string> damaged;
  std::unique_ptr<btf, FreeBtf> types(btf__new(bytes.data(), static_cast<uint32_t>(bytes.size())));
  if (!types) return damaged;
  std::set<uint32_t> tagged;  // functions that say that they are kfuncs
  std::vector<std::pair<uint32_t, std::string>> functions;
  std::set<std::string, std::less<>> implementations;
  for (uint32_t id = 1; id < btf__type_cnt(types.get()); ++id) {
    const btf_type* type = btf__type_by_id(types.get(), id);
    const char* text = btf__name_by_offset(types.get(), type->name_off);
    if (!text) continue;
    const std::string_view name = text;
    if (btf_is_decl_tag(type) && name == "bpf_kfunc") tagged.insert(type->type);
    if (!btf_is_func(type) || !of_sched_ext(name)) continue;
    if (name.ends_with(kImpl))
      implementations.emplace(name);
    else if (ends_with_program(types.get(), type))
      functions.emplace_back(id, name);
  }
  if (tagged.empty()) return damaged;  // a kernel that does not tag them
  for (const auto& [id, name] : functions)
    if (!tagged.contains(id) && !implementations.contains(name + std::string(kImpl))) damaged.push_back(name);
  return damaged;
}

std::string kfuncs_text(const std::vector<std::string>& names) {
  std::string text;
  for (size_t i = 0; i < std::min(names.size(), kMostNamed); ++i)
    text += (text.empty() ? "" : ", ") + names[i];
  return names.size() > kMostNamed ? text + " and " + std::to_string(names.size() - kMostNamed) + " more"
                                   : text;
}

}  // namespace ktstr
