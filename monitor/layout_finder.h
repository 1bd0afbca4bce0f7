// Looks members up in a kernel's BTF and keeps the list of what was not there. Used while a layout is built.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "bpf/btf_view.h"
#include "monitor/kernel_layout.h"

namespace ktstr {

// Looks members up and keeps the list of what was not there.
class LayoutFinder {
 public:
  LayoutFinder(const BtfView& btf, std::vector<std::string>& absent) : btf_(btf), absent_(absent) {}

  // `what` is published when the field is lacking; empty: not worth a word (the other layout will have it).
  Field field(const std::string& type, std::string_view path, bool silent = false) {
    if (const auto id = struct_id(type)) {
      if (const auto found = btf_.field(*id, path)) {
        return {found->offset, std::max(found->size, 1u), btf_.resolve(found->type_id).is_signed};
      }
    }
    if (!silent) absent_.push_back(type + "." + std::string(path));
    return {};
  }
  Field optional(const std::string& type, std::string_view path) { return field(type, path, true); }

  std::optional<uint32_t> struct_id(const std::string& type) {
    const auto [it, fresh] = ids_.try_emplace(type);
    if (fresh) it->second = btf_.find_struct(type);
    return it->second;
  }
  std::vector<BtfMember> members(const std::string& type) {
    const auto id = struct_id(type);
    return id ? btf_.members(*id) : std::vector<BtfMember>();
  }
  uint32_t size_of(const std::string& type) {
    const auto id = struct_id(type);
    return id ? btf_.resolve(*id).size : 0;
  }
  const BtfView& btf() const { return btf_; }

 private:
  const BtfView& btf_;
  std::vector<std::string>& absent_;
  std::unordered_map<std::string, std::optional<uint32_t>> ids_;
};

}  // namespace ktstr
