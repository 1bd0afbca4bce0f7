#include "bpf/btf_view.h"

#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include <algorithm>

namespace ktstr {
namespace {

constexpr int kMaxDepth = 32;  // nesting of types; more is a loop

bool is_modifier(uint32_t kind) {
  return kind == BTF_KIND_TYPEDEF || kind == BTF_KIND_CONST || kind == BTF_KIND_VOLATILE ||
         kind == BTF_KIND_RESTRICT || kind == BTF_KIND_TYPE_TAG;
}

bool is_composite(const btf_type* t) { return btf_is_struct(t) || btf_is_union(t); }

}  // namespace

void BtfView::Free::operator()(struct btf* b) const { btf__free(b); }
BtfView::BtfView(struct btf* btf, size_t bytes) : btf_(btf), bytes_(bytes) {}
BtfView::BtfView(BtfView&&) noexcept = default;
BtfView& BtfView::operator=(BtfView&&) noexcept = default;
BtfView::~BtfView() = default;

Result<BtfView> BtfView::from_bytes(std::span<const uint8_t> bytes) {
  if (bytes.size() > UINT32_MAX) return Error::invalid("BTF: larger than 4 GiB");
  libbpf_set_print(nullptr);  // its complaints come back as our Error
  struct btf* b = btf__new(bytes.data(), static_cast<uint32_t>(bytes.size()));
  if (!b) return Error::invalid("BTF: not valid (" + std::string(std::strerror(errno)) + ")");
  return BtfView(b, bytes.size());
}

const btf_type* BtfView::at(uint32_t type_id) const {
  return type_id < btf__type_cnt(btf_.get()) ? btf__type_by_id(btf_.get(), type_id) : nullptr;
}

std::string_view BtfView::text(uint32_t offset) const {
  const char* s = btf__name_by_offset(btf_.get(), offset);
  return s ? s : "";
}

uint32_t BtfView::type_count() const { return btf__type_cnt(btf_.get()); }

std::optional<uint32_t> BtfView::find(std::string_view name, std::initializer_list<uint32_t> kinds) const {
  uint32_t n = type_count();
  for (uint32_t id = 1; id < n; ++id) {
    const btf_type* t = at(id);
    if (std::find(kinds.begin(), kinds.end(), btf_kind(t)) != kinds.end() && text(t->name_off) == name)
      return id;
  }
  return std::nullopt;
}

std::optional<uint32_t> BtfView::find_struct(std::string_view name) const {
  return find(name, {BTF_KIND_STRUCT, BTF_KIND_UNION});
}
std::optional<uint32_t> BtfView::find_enum(std::string_view name) const {
  return find(name, {BTF_KIND_ENUM, BTF_KIND_ENUM64});
}
std::optional<uint32_t> BtfView::find_typedef(std::string_view name) const {
  return find(name, {BTF_KIND_TYPEDEF});
}
std::optional<uint32_t> BtfView::find_function(std::string_view name) const {
  return find(name, {BTF_KIND_FUNC});
}

BtfType BtfView::resolve(uint32_t type_id) const {
  BtfType r;
  bool named_bool = false;
  const btf_type* t = at(type_id);
  for (int i = 0; t && is_modifier(btf_kind(t)) && i < kMaxDepth; ++i) {
    if (btf_is_typedef(t) && text(t->name_off) == "bool") named_bool = true;
    type_id = t->type;
    t = at(type_id);
  }
  r.id = type_id;
  if (!t || type_id == 0 || is_modifier(btf_kind(t))) return r;
  r.name = text(t->name_off);
  switch (btf_kind(t)) {
    case BTF_KIND_INT: {
      uint8_t enc = btf_int_encoding(t);
      r.size = t->size;
      r.is_signed = enc & BTF_INT_SIGNED;
      r.cls = (enc & BTF_INT_BOOL) || named_bool || r.name == "_Bool" ? BtfClass::kBool
              : (enc & BTF_INT_CHAR) || r.name == "char"              ? BtfClass::kChar
                                                                      : BtfClass::kInt;
      break;
    }
    case BTF_KIND_FLOAT:
      r.cls = BtfClass::kFloat;
      r.size = t->size;
      break;
    case BTF_KIND_ENUM:
    case BTF_KIND_ENUM64:
      r.cls = BtfClass::kEnum;
      r.size = t->size;
      r.is_signed = btf_kflag(t);
      break;
    case BTF_KIND_PTR:
      r.cls = BtfClass::kPointer;
      r.size = 8;
      r.target = t->type;
      break;
    case BTF_KIND_ARRAY: {
      const struct btf_array* a = btf_array(t);
      r.cls = BtfClass::kArray;
      r.target = a->type;
      r.count = a->nelems;
      int64_t size = btf__resolve_size(btf_.get(), type_id);
      r.size = size > 0 ? static_cast<uint32_t>(size) : 0;
      break;
    }
    case BTF_KIND_STRUCT:
      r.cls = BtfClass::kStruct;
      r.size = t->size;
      break;
    case BTF_KIND_UNION:
      r.cls = BtfClass::kUnion;
      r.size = t->size;
      break;
    case BTF_KIND_FWD:
      r.cls = BtfClass::kForward;
      break;
    case BTF_KIND_FUNC:
      r.cls = BtfClass::kFunction;
      r.target = t->type;
      break;
    case BTF_KIND_FUNC_PROTO:
      r.cls = BtfClass::kFunction;
      r.target = type_id;
      break;
    default:
      break;
  }
  return r;
}

std::vector<BtfMember> BtfView::members(uint32_t struct_id) const {
  std::vector<BtfMember> out;
  const btf_type* t = at(resolve(struct_id).id);
  if (!t || !is_composite(t)) return out;
  const btf_member* m = btf_members(t);
  for (uint32_t i = 0; i < btf_vlen(t); ++i)
    out.push_back({std::string(text(m[i].name_off)), m[i].type, btf_member_bit_offset(t, i),
                   btf_member_bitfield_size(t, i)});
  return out;
}

// One name in one struct, anonymous members looked through.
std::optional<BtfField> BtfView::member_at(uint32_t struct_id, std::string_view name, int depth) const {
  const btf_type* t = at(resolve(struct_id).id);
  if (!t || !is_composite(t) || depth > kMaxDepth) return std::nullopt;
  const btf_member* m = btf_members(t);
  for (uint32_t i = 0; i < btf_vlen(t); ++i) {
    std::string_view member = text(m[i].name_off);
    uint32_t bits = btf_member_bit_offset(t, i);
    if (member == name) {
      BtfField f;
      f.type_id = m[i].type;
      f.size = resolve(m[i].type).size;
      f.bit_size = btf_member_bitfield_size(t, i);
      f.offset = bits / 8;
      if (f.bit_size && f.size) {
        f.offset = bits / 8 / f.size * f.size;
        f.bit_offset = bits - f.offset * 8;
      }
      return f;
    }
    if (member.empty()) {
      if (auto inner = member_at(m[i].type, name, depth + 1)) {
        inner->offset += bits / 8;
        return inner;
      }
    }
  }
  return std::nullopt;
}

Result<BtfChain> BtfView::chain(uint32_t struct_id, std::string_view path) const {
  BtfChain c;
  uint32_t type = struct_id;
  uint32_t base = 0;
  std::string_view rest = path;
  for (int depth = 0; depth < kMaxDepth; ++depth) {
    size_t dot = rest.find('.');
    std::string_view part = rest.substr(0, dot);
    BtfType t = resolve(type);
    if (t.cls == BtfClass::kPointer) {
      c.offsets.push_back(base);
      base = 0;
      type = t.target;
      t = resolve(type);
    }
    auto f = member_at(type, part, 0);
    if (!f)
      return Error::not_found("BTF: " + type_name(type) + " has no member '" + std::string(part) + "' (of '" +
                              std::string(path) + "')");
    f->offset += base;
    if (dot == std::string_view::npos) {
      c.offsets.push_back(f->offset);
      c.last = *f;
      return c;
    }
    base = f->offset;
    type = f->type_id;
    rest.remove_prefix(dot + 1);
  }
  return Error::invalid("BTF: path too deep: " + std::string(path));
}

Result<BtfField> BtfView::field(uint32_t struct_id, std::string_view path) const {
  auto c = chain(struct_id, path);
  if (!c) return std::move(c).error();
  if (c->offsets.size() > 1) return Error::invalid("BTF: path '" + std::string(path) + "' passes a pointer");
  return c->last;
}

Result<BtfField> BtfView::field(std::string_view struct_name, std::string_view path) const {
  auto id = find_struct(struct_name);
  if (!id) return Error::not_found("BTF: no struct " + std::string(struct_name));
  return field(*id, path);
}

Result<BtfFunction> BtfView::function(uint32_t type_id) const {
  const btf_type* t = at(type_id);
  BtfFunction f;
  f.type_id = type_id;
  if (t && btf_is_func(t)) {
    f.name = text(t->name_off);
    f.is_static = btf_vlen(t) == BTF_FUNC_STATIC;
    t = at(t->type);
  }
  if (!t || !btf_is_func_proto(t))
    return Error::invalid("BTF: type " + std::to_string(type_id) + " is no function");
  f.return_type = t->type;
  const btf_param* p = btf_params(t);
  for (uint32_t i = 0; i < btf_vlen(t); ++i) {
    if (i + 1u == btf_vlen(t) && p[i].type == 0)
      f.variadic = true;
    else
      f.parameters.push_back({std::string(text(p[i].name_off)), p[i].type});
  }
  f.signature = signature(f);
  return f;
}

std::string BtfView::signature(const BtfFunction& f) const {
  std::string args;
  for (const BtfParameter& p : f.parameters)
    args += (args.empty() ? "" : ", ") + declare(p.type_id, p.name, 0);
  if (f.variadic) args += args.empty() ? "..." : ", ...";
  return declare(f.return_type, f.name + "(" + (args.empty() ? "void" : args) + ")", 0);
}

Result<BtfFunction> BtfView::function(std::string_view name) const {
  auto id = find_function(name);
  if (!id) return Error::not_found("BTF: no function " + std::string(name));
  return function(*id);
}

Result<BtfFunction> BtfView::tracepoint(std::string_view name) const {
  auto id = find_typedef("btf_trace_" + std::string(name));
  if (!id) return Error::not_found("BTF: no tracepoint " + std::string(name));
  auto f = function(resolve(resolve(*id).target).id);
  if (!f) return f;
  f->name = name;
  if (!f->parameters.empty()) f->parameters.erase(f->parameters.begin());
  f->signature = signature(*f);
  return f;
}

std::vector<BtfEnumerator> BtfView::enumerators(uint32_t enum_id) const {
  std::vector<BtfEnumerator> out;
  const btf_type* t = at(resolve(enum_id).id);
  if (!t) return out;
  for (uint32_t i = 0; (btf_is_enum(t) || btf_is_enum64(t)) && i < btf_vlen(t); ++i) {
    if (btf_is_enum(t)) {
      const struct btf_enum& e = btf_enum(t)[i];
      uint64_t v =
          btf_kflag(t) ? static_cast<uint64_t>(static_cast<int64_t>(e.val)) : static_cast<uint32_t>(e.val);
      out.push_back({std::string(text(e.name_off)), v});
    } else {
      const struct btf_enum64& e = btf_enum64(t)[i];
      out.push_back({std::string(text(e.name_off)), btf_enum64_value(&e)});
    }
  }
  return out;
}

std::optional<uint64_t> BtfView::enum_value(std::string_view enum_name, std::string_view enumerator) const {
  auto id = find_enum(enum_name);
  if (!id) return std::nullopt;
  for (auto& e : enumerators(*id))
    if (e.name == enumerator) return e.value;
  return std::nullopt;
}

std::vector<BtfVariable> BtfView::variables(uint32_t datasec_id) const {
  std::vector<BtfVariable> out;
  const btf_type* section = at(datasec_id);
  if (!section || !btf_is_datasec(section)) return out;
  const btf_var_secinfo* info = btf_var_secinfos(section);
  for (uint32_t i = 0; i < btf_vlen(section); ++i) {
    const btf_type* var = at(info[i].type);
    if (var && btf_is_var(var))
      out.push_back({std::string(text(var->name_off)), var->type, info[i].offset, info[i].size});
  }
  return out;
}

// C's declarators grow from the inside out: `inner` is what has been said so far. Not libbpf's btf_dump: of a pointer
// type that points to itself, which btf__new() lets pass, btf_dump__emit_type_decl() (1.4.6) never returns, and the BTF
// may be a guest's.
std::string BtfView::declare(uint32_t type_id, std::string inner, int depth) const {
  auto join = [&](std::string head) {
    if (inner.empty()) return head;
    return head + (head.ends_with('*') ? "" : " ") + inner;
  };
  const btf_type* t = at(type_id);
  if (!t || type_id == 0 || depth > kMaxDepth) return join("void");
  std::string name(text(t->name_off));
  switch (btf_kind(t)) {
    case BTF_KIND_PTR: {
      BtfType target = resolve(t->type);
      bool wrap = target.cls == BtfClass::kArray || target.cls == BtfClass::kFunction;
      const btf_type* direct = at(t->type);
      wrap = wrap && direct && (btf_is_array(direct) || btf_is_func_proto(direct));
      return declare(t->type, wrap ? "(*" + inner + ")" : "*" + inner, depth + 1);
    }
    case BTF_KIND_ARRAY:
      return declare(btf_array(t)->type, inner + "[" + std::to_string(btf_array(t)->nelems) + "]", depth + 1);
    case BTF_KIND_FUNC_PROTO: {
      std::string args;
      const btf_param* p = btf_params(t);
      for (uint32_t i = 0; i < btf_vlen(t); ++i) {
        if (i) args += ", ";
        args += p[i].type ? declare(p[i].type, std::string(text(p[i].name_off)), depth + 1) : "...";
      }
      return declare(t->type, inner + "(" + (args.empty() ? "void" : args) + ")", depth + 1);
    }
    case BTF_KIND_CONST:
    case BTF_KIND_VOLATILE:
    case BTF_KIND_RESTRICT: {
      const char* word = btf_is_const(t) ? "const" : btf_is_volatile(t) ? "volatile" : "restrict";
      const btf_type* to = at(t->type);
      if (to && t->type && btf_is_ptr(to))  // qualifies the pointer itself
        return declare(t->type, inner.empty() ? word : std::string(word) + " " + inner, depth + 1);
      return std::string(word) + " " + declare(t->type, std::move(inner), depth + 1);
    }
    case BTF_KIND_TYPE_TAG:
      return declare(t->type, std::move(inner), depth + 1);
    case BTF_KIND_STRUCT:
      return join("struct" + (name.empty() ? " {...}" : " " + name));
    case BTF_KIND_UNION:
      return join("union" + (name.empty() ? " {...}" : " " + name));
    case BTF_KIND_FWD:
      return join((btf_kflag(t) ? "union " : "struct ") + name);
    case BTF_KIND_ENUM:
    case BTF_KIND_ENUM64:
      return join("enum" + (name.empty() ? " {...}" : " " + name));
    case BTF_KIND_FUNC:
      return declare(t->type, inner, depth + 1);
    default:
      return join(name.empty() ? "void" : name);
  }
}

std::string BtfView::declaration(uint32_t type_id, std::string_view name) const {
  return declare(type_id, std::string(name), 0);
}
std::string BtfView::type_name(uint32_t type_id) const { return declare(type_id, "", 0); }

}  // namespace ktstr
