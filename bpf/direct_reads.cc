#include "bpf/direct_reads.h"

#include <algorithm>
#include <cstddef>

namespace ktstr::probe {
namespace {

constexpr uint8_t kR0 = 0, kR1 = 1, kR2 = 2, kHit = 6, kBase = 7, kSeen = 8;

class Code {
 public:
  size_t size() const { return insns_.size(); }
  std::vector<bpf_insn> take() { return std::move(insns_); }

  void move(uint8_t to, uint8_t from) { add(BPF_ALU64 | BPF_MOV | BPF_X, to, from, 0, 0); }
  void set(uint8_t to, int32_t value) { add(BPF_ALU64 | BPF_MOV | BPF_K, to, 0, 0, value); }
  void plus(uint8_t to, uint32_t value) {
    if (value) add(BPF_ALU64 | BPF_ADD | BPF_K, to, 0, 0, static_cast<int32_t>(value));
  }
  void load(unsigned bytes, uint8_t to, uint8_t from, size_t offset) {
    add(static_cast<uint8_t>(BPF_LDX | BPF_MEM | width(bytes)), to, from, static_cast<int16_t>(offset), 0);
  }
  void store(unsigned bytes, uint8_t to, size_t offset, uint8_t from) {
    add(static_cast<uint8_t>(BPF_STX | BPF_MEM | width(bytes)), to, from, static_cast<int16_t>(offset), 0);
  }
  void merge(uint8_t to, uint8_t from) { add(BPF_ALU64 | BPF_OR | BPF_X, to, from, 0, 0); }
  void call(int32_t helper) { add(BPF_JMP | BPF_CALL, 0, 0, 0, helper); }
  // R0 = R1, known to the verifier as memory that may be read.
  void cast(uint32_t function) {
    set(kR2, 0);
    add(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_KFUNC_CALL, 0, static_cast<int32_t>(function));
  }
  void set_bits(size_t field, uint32_t bits) {
    load(4, kR2, kHit, field);
    add(BPF_ALU | BPF_OR | BPF_K, kR2, 0, 0, static_cast<int32_t>(bits));
    store(4, kHit, field, kR2);
  }
  void end() {
    set(kR0, 0);
    add(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
  }
  // A jump whose target comes later.
  size_t jump(uint8_t op, uint8_t reg, int32_t value) {
    add(static_cast<uint8_t>(BPF_JMP | op | BPF_K), reg, 0, 0, value);
    return size() - 1;
  }
  void land(size_t jump) { insns_[jump].off = static_cast<int16_t>(size() - jump - 1); }

 private:
  static int width(unsigned bytes) {
    return bytes == 8 ? BPF_DW : bytes == 4 ? BPF_W : bytes == 2 ? BPF_H : BPF_B;
  }
  void add(uint8_t code, uint8_t to, uint8_t from, int16_t offset, int32_t value) {
    bpf_insn i{};
    i.code = code;
    i.dst_reg = to & 0xf;
    i.src_reg = from & 0xf;
    i.off = offset;
    i.imm = value;
    insns_.push_back(i);
  }
  std::vector<bpf_insn> insns_;
};

// Who runs: a call of bpf_get_current_task is none where the kernel's JIT knows it.
void emit_task(const DirectReads& in, Code* code) {
  if (!in.comm_offset || !in.pid_offset) return;
  code->call(BPF_FUNC_get_current_task);
  code->move(kSeen, kR0);
  code->move(kR1, kR0);
  code->plus(kR1, in.pid_offset);
  code->cast(in.cast_function);
  code->load(4, kR1, kR0, 0);
  code->store(4, kHit, offsetof(ktstr_hit, pid), kR1);
  code->move(kR1, kSeen);
  code->plus(kR1, in.comm_offset);
  code->cast(in.cast_function);
  for (size_t at = 0; at < KTSTR_COMM; at += 8) {
    code->load(8, kR1, kR0, at);
    code->store(8, kHit, offsetof(ktstr_hit, comm) + at, kR1);
  }
}

bool same_base(const ktstr_read& a, const ktstr_read& b) {
  return a.arg == b.arg && a.hops == b.hops && !a.string && !b.string &&
         std::equal(a.offsets, a.offsets + (a.hops ? a.hops - 1 : 0), b.offsets);
}

bool too_far(const ktstr_read& r) {
  return std::any_of(r.offsets, r.offsets + r.hops, [](uint32_t o) { return o > INT32_MAX; });
}

// Reads behind one pointer. One value that is not zero proves that the pointer leads to memory.
void emit_group(const DirectReads& in, const ReadPlan& plan, size_t begin, size_t end, Code* code) {
  const ktstr_read& first = plan.reads[begin];
  std::vector<size_t> to_failed;
  uint32_t bits = 0;
  for (size_t i = begin; i < end; ++i) bits |= 1u << i;
  // Half of all addresses are user space's, and no helper for kernel memory reads them.
  auto check = [&] { to_failed.push_back(code->jump(BPF_JSGE, kR1, 0)); };
  code->load(8, kR1, kHit, offsetof(ktstr_hit, raw) + size_t{8} * first.arg);
  check();
  for (int k = 0; k + 1 < first.hops; ++k) {
    code->plus(kR1, first.offsets[k]);
    code->cast(in.cast_function);
    code->load(8, kR1, kR0, 0);
    check();
  }
  size_t good = 0;
  if (!first.string) {
    code->move(kBase, kR1);
    code->set(kSeen, 0);
    for (size_t i = begin; i < end; ++i) {
      const ktstr_read& r = plan.reads[i];
      if (i != begin) code->move(kR1, kBase);
      code->plus(kR1, r.offsets[r.hops - 1]);
      code->cast(in.cast_function);
      for (const ReadPlan::Place& place : plan.places) {
        if (place.read != static_cast<int>(i)) continue;
        for (unsigned done = 0; done < place.bytes;) {
          unsigned bytes = 8;
          while (bytes > place.bytes - done) bytes /= 2;
          code->load(bytes, kR1, kR0, place.at - size_t{r.at} + done);
          code->store(bytes, kHit, offsetof(ktstr_hit, data) + place.at + done, kR1);
          code->merge(kSeen, kR1);
          done += bytes;
        }
      }
    }
    good = code->jump(BPF_JNE, kSeen, 0);
  }
  code->set_bits(offsetof(ktstr_hit, left), bits);
  const size_t unsure = code->jump(BPF_JA, 0, 0);
  for (const size_t jump : to_failed) code->land(jump);
  code->set_bits(offsetof(ktstr_hit, failed), bits);
  if (good) code->land(good);
  code->land(unsure);
}

void emit_target(const DirectReads& in, const ReadPlan& plan, Code* code) {
  const auto& reads = plan.reads;
  uint32_t left = 0;
  for (size_t i = 0; i < reads.size(); ++i)
    if (too_far(reads[i])) left |= 1u << i;
  code->set(kR1, static_cast<int32_t>(left));
  code->store(4, kHit, offsetof(ktstr_hit, left), kR1);
  for (size_t i = 0, end = 0; i < reads.size(); i = end) {
    for (end = i + 1; end < reads.size() && !too_far(reads[end]) && same_base(reads[i], reads[end]);) ++end;
    if (!too_far(reads[i])) emit_group(in, plan, i, end, code);
  }
  code->end();
}

// Which of them it is, by halves.
void emit_choice(const DirectReads& in, std::span<const uint32_t> targets, Code* code) {
  if (targets.size() == 1) return emit_target(in, in.plans[targets.front()], code);
  const size_t half = targets.size() / 2;
  code->load(4, kR1, kHit, offsetof(ktstr_hit, target));
  const size_t upper = code->jump(BPF_JGE, kR1, static_cast<int32_t>(targets[half]));
  emit_choice(in, targets.first(half), code);
  code->land(upper);
  emit_choice(in, targets.subspan(half), code);
}

bool is_call(const bpf_insn& i) { return i.code == (BPF_JMP | BPF_CALL) && i.src_reg == BPF_PSEUDO_CALL; }
bool is_callback(const bpf_insn& i) {
  return i.code == (BPF_LD | BPF_IMM | BPF_DW) && i.src_reg == BPF_PSEUDO_FUNC;
}
uint32_t target_of(size_t at, const bpf_insn& i) {
  return static_cast<uint32_t>(static_cast<int64_t>(at) + i.imm + 1);
}

// Calls `visit(at, insn)` of each instruction that names a function.
template <typename Insn, typename Visit>
void each_reference(std::span<Insn> program, Visit visit) {
  for (size_t i = 0; i < program.size(); ++i) {
    if (is_call(program[i]) || is_callback(program[i])) visit(i, program[i]);
    if (program[i].code == (BPF_LD | BPF_IMM | BPF_DW)) ++i;  // takes two slots
  }
}

}  // namespace

std::vector<bpf_insn> direct_reads(const DirectReads& in) {
  if (!in.cast_function || in.targets.empty()) return {};
  for (const uint32_t t : in.targets)
    if (t >= in.plans.size()) return {};
  Code code;
  code.move(kHit, kR1);
  emit_task(in, &code);
  emit_choice(in, in.targets, &code);
  if (code.size() > INT16_MAX) return {};  // jumps reach no further
  return code.take();
}

std::vector<uint32_t> function_starts(std::span<const bpf_insn> program) {
  std::vector<uint32_t> starts{0};
  each_reference(program, [&](size_t at, const bpf_insn& i) { starts.push_back(target_of(at, i)); });
  std::sort(starts.begin(), starts.end());
  starts.erase(std::unique(starts.begin(), starts.end()), starts.end());
  return starts;
}

bool splice(std::vector<bpf_insn>* program, const std::vector<bpf_insn>& body) {
  const std::vector<uint32_t> starts = function_starts(*program);
  uint32_t begin = 0;
  each_reference(std::span<bpf_insn>(*program), [&](size_t at, const bpf_insn& i) {
    if (is_call(i) && begin == 0) begin = target_of(at, i);
  });
  if (begin == 0 || begin >= program->size()) return false;
  const auto next = std::upper_bound(starts.begin(), starts.end(), begin);
  const uint32_t end = next == starts.end() ? static_cast<uint32_t>(program->size()) : *next;
  const auto longer = static_cast<int32_t>(body.size()) - static_cast<int32_t>(end - begin);
  each_reference(std::span<bpf_insn>(*program), [&](size_t at, bpf_insn& i) {
    if (at < begin && target_of(at, i) >= end) i.imm += longer;
    if (at >= end && target_of(at, i) < end) i.imm -= longer;
  });
  program->erase(program->begin() + begin, program->begin() + end);
  program->insert(program->begin() + begin, body.begin(), body.end());
  return true;
}

void set_cookie(std::vector<bpf_insn>* program, uint32_t cookie) {
  for (bpf_insn& i : *program) {
    if (i.code != (BPF_JMP | BPF_CALL) || i.src_reg != 0 || i.imm != BPF_FUNC_get_attach_cookie) continue;
    i = bpf_insn{};
    i.code = BPF_ALU64 | BPF_MOV | BPF_K;
    i.imm = static_cast<int32_t>(cookie);
  }
}

}  // namespace ktstr::probe
