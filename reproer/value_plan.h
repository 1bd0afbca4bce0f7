// Which values are worth reading behind an argument: the argument itself, and the fields that matter of what
// it points to. All type knowledge is here, on the host; the probe only walks offsets. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "bpf/btf_view.h"
#include "schemas/probe_generated.h"

namespace ktstr {

using ValueSpecs = std::vector<std::unique_ptr<ValueSpecT>>;

// Limits of one target, as the probe has them (bpf/probe_abi.h).
inline constexpr size_t kMaxTargetValues = 30;
inline constexpr size_t kMaxTargetBytes = 512;
inline constexpr uint8_t kReturnArg = 255;

class ValuePlanner {
 public:
  // `cpus`: of the VM, for the size of CPU masks. Both views must outlive this.
  ValuePlanner(const BtfView& kernel, unsigned cpus) : kernel_(kernel), cpus_(cpus) {}

  // Appends what to read for argument `arg` called `name`, whose type is `type_id` of `types` (the kernel's,
  // or a program's). A struct that the program took over from the kernel is read by the kernel's layout.
  void add_argument(const BtfView& types, uint8_t arg, const std::string& name, uint32_t type_id,
                    ValueSpecs* out);

 private:
  struct Wanted {
    const char* path;
    const char* enum_name;  // flag set or enum that names the value; null: by its type
  };
  void add_curated(uint32_t struct_id, const ValueSpecT& base, const Wanted* wanted, size_t count,
                   ValueSpecs* out);
  void add_discovered(const BtfView& types, uint32_t struct_id, const ValueSpecT& base, ValueSpecs* out);
  bool from_kernel(const BtfView& types, const BtfType& record, uint32_t* kernel_id);
  void set_format(const BtfView& types, uint32_t type_id, std::string_view name, const char* enum_name,
                  ValueSpecT* v);
  void name_values(const char* enum_name, bool flags, ValueSpecT* v);
  static bool fits(const ValueSpecs& out, const ValueSpecT& v);

  const BtfView& kernel_;
  unsigned cpus_;
  std::map<std::string, uint32_t, std::less<>> kernel_structs_;  // found before; 0: none
  std::map<std::string, std::vector<BtfEnumerator>, std::less<>> enums_;
};

// Bytes that the value takes in a hit.
uint32_t planned_bytes(const ValueSpecT& v);

}  // namespace ktstr
