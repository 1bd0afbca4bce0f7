// Types of a kernel or of a BPF program, read from raw BTF bytes: the offset of a field, what a function's
// prototype looks like, what an enum's numbers are called. Host only.
//
// The bytes may come from a guest: libbpf checks them when they are opened, and every walk here is bounded.
// Thread rule: const members may be called from several threads. A view owns its copy of the bytes.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

struct btf;
struct btf_type;

namespace ktstr {

enum class BtfClass {
  kVoid,
  kInt,
  kBool,
  kChar,
  kFloat,
  kEnum,
  kPointer,
  kArray,
  kStruct,
  kUnion,
  kForward,
  kFunction
};

// A type without its typedefs and qualifiers.
struct BtfType {
  uint32_t id = 0;
  BtfClass cls = BtfClass::kVoid;
  uint32_t size = 0;       // bytes; 0 for void, functions, forward declarations
  bool is_signed = false;  // kInt, kEnum
  std::string name;        // tag or base name ("task_struct"); empty: anonymous
  uint32_t target = 0;     // kPointer: what it points to; kArray: its element; kFunction: its prototype
  uint32_t count = 0;      // kArray: elements
};

struct BtfField {
  uint32_t offset = 0;      // bytes from the start of the struct
  uint32_t size = 0;        // bytes
  uint32_t type_id = 0;     // as declared, typedefs and all
  uint32_t bit_offset = 0;  // bit-fields: within the `size` bytes at `offset`, from the low bit
  uint32_t bit_size = 0;    // 0: not a bit-field
};

struct BtfMember {
  std::string name;  // empty: anonymous struct or union
  uint32_t type_id = 0;
  uint32_t bit_offset = 0;  // from the start of the struct
  uint32_t bit_size = 0;    // 0: not a bit-field
};

// A path through pointers: from the first pointer, read 8 bytes at each offset but the last; the value is
// at the last one.
struct BtfChain {
  std::vector<uint32_t> offsets;
  BtfField last;  // offset equals offsets.back()
};

struct BtfParameter {
  std::string name;  // may be empty
  uint32_t type_id = 0;
};

struct BtfFunction {
  std::string name;
  uint32_t type_id = 0;  // of the FUNC (or of the prototype, where it has no FUNC)
  uint32_t return_type = 0;
  std::vector<BtfParameter> parameters;
  bool variadic = false;
  bool is_static = false;  // the compiler may have dropped unused parameters and results of such a one
  std::string signature;   // "void enqueue_task(struct rq *rq, struct task_struct *p, int flags)"
};

struct BtfEnumerator {
  std::string name;
  uint64_t value = 0;  // sign-extended when the enum is signed
};

// A global variable of a BPF object, in its map (".bss").
struct BtfVariable {
  std::string name;
  uint32_t type_id = 0;
  uint32_t offset = 0;
  uint32_t size = 0;
};

class BtfView {
 public:
  // Raw .BTF bytes (a section, /sys/kernel/btf/vmlinux, a program's). kInvalid when libbpf refuses them.
  static Result<BtfView> from_bytes(std::span<const uint8_t> bytes);
  BtfView(BtfView&&) noexcept;
  BtfView& operator=(BtfView&&) noexcept;
  ~BtfView();

  // Id of the (first) struct or union, enum, typedef or function of that name. Struct prefers a definition.
  std::optional<uint32_t> find_struct(std::string_view name) const;
  std::optional<uint32_t> find_enum(std::string_view name) const;
  std::optional<uint32_t> find_typedef(std::string_view name) const;
  std::optional<uint32_t> find_function(std::string_view name) const;

  // Through typedefs and qualifiers. An id out of range is void.
  BtfType resolve(uint32_t type_id) const;

  // A field of struct `name` by its path: "scx.nr_running", "comm". Anonymous members are looked through. The
  // path may not pass a pointer or an array. kNotFound names the part that is missing.
  Result<BtfField> field(std::string_view struct_name, std::string_view path) const;
  Result<BtfField> field(uint32_t struct_id, std::string_view path) const;
  // The same, but a path may pass pointers, for which '.' is allowed as well: "scx.dsq.id". Starts at a struct.
  Result<BtfChain> chain(uint32_t struct_id, std::string_view path) const;
  // Direct members of a struct or union, in order; anonymous ones as written.
  std::vector<BtfMember> members(uint32_t struct_id) const;

  // A FUNC's or a bare prototype's parameters and text. kNotFound, or kInvalid when the id is neither.
  Result<BtfFunction> function(uint32_t type_id) const;
  Result<BtfFunction> function(std::string_view name) const;
  // The prototype behind a raw tracepoint ("btf_trace_NAME"), without its first parameter.
  Result<BtfFunction> tracepoint(std::string_view name) const;

  // The text of a prototype from its parts (after a rename, say).
  std::string signature(const BtfFunction& f) const;

  std::vector<BtfEnumerator> enumerators(uint32_t enum_id) const;
  // Variables of a DATASEC, as they are listed; empty when the id is no DATASEC.
  std::vector<BtfVariable> variables(uint32_t datasec_id) const;
  // Value of an enumerator anywhere in the BTF ("SCX_EXIT_ERROR"), from the enum named.
  std::optional<uint64_t> enum_value(std::string_view enum_name, std::string_view enumerator) const;

  // As C writes it: "struct task_struct *", "const char *", "u64", "char [16]".
  std::string type_name(uint32_t type_id) const;
  // A declaration: "struct task_struct *p", "int (*fn)(void *)", "char comm[16]".
  std::string declaration(uint32_t type_id, std::string_view name) const;

  uint32_t type_count() const;
  size_t bytes() const { return bytes_; }

 private:
  BtfView(struct btf* btf, size_t bytes);
  const btf_type* at(uint32_t type_id) const;
  std::string_view text(uint32_t offset) const;
  std::optional<uint32_t> find(std::string_view name, std::initializer_list<uint32_t> kinds) const;
  std::optional<BtfField> member_at(uint32_t struct_id, std::string_view name, int depth) const;
  std::string declare(uint32_t type_id, std::string inner, int depth) const;

  struct Free {
    void operator()(struct btf* b) const;
  };
  std::unique_ptr<struct btf, Free> btf_;
  size_t bytes_ = 0;
};

}  // namespace ktstr
