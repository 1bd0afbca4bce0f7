#include "tests/schedulers/common/scx_user.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <signal.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <string_view>
#include <system_error>

// The BPF object, embedded by embed.S.in.
extern "C" const char scx_bpf_object[];
extern "C" const char scx_bpf_object_end[];

namespace scx {
namespace {

struct Arguments {
  scx_config config;
  std::optional<std::uint32_t> timeout_ms;
  bool restart = false;  // loads itself again when the kernel's exit code asks for it
};

struct ObjectCloser {
  void operator()(bpf_object* object) const { bpf_object__close(object); }
};
using Object = std::unique_ptr<bpf_object, ObjectCloser>;

struct LinkCloser {
  void operator()(bpf_link* link) const { bpf_link__destroy(link); }
};
using Link = std::unique_ptr<bpf_link, LinkCloser>;

void print_usage(const Scheduler& scheduler, std::FILE* to) {
  std::fprintf(to, "usage: scx_%s [OPTION N]...\n\n", scheduler.name);
  for (const Option& option : scheduler.options)
    std::fprintf(to, "  %-16s %s (default %llu)\n", option.flag, option.help, option.initial);
  std::fprintf(to, "  %-16s stall watchdog of the kernel, at most 30000\n", "--timeout-ms");
  std::fprintf(to, "  %-16s 1: starts again when the exit code asks for it (CPU hotplug)\n", "--restart");
}

std::optional<__u64> parse_number(std::string_view text) {
  int base = 10;
  if (text.starts_with("0x")) {
    base = 16;
    text.remove_prefix(2);
  }
  __u64 value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// Returns nothing when the command line is wrong, after saying why.
std::optional<Arguments> parse_arguments(const Scheduler& scheduler, std::span<char*> words) {
  Arguments result{};
  for (const Option& option : scheduler.options) result.config.*option.field = option.initial;
  for (std::size_t i = 0; i < words.size(); i += 2) {
    std::string_view flag = words[i];
    std::optional<__u64> value;
    if (i + 1 < words.size()) value = parse_number(words[i + 1]);
    const Option* known = nullptr;
    for (const Option& option : scheduler.options)
      if (flag == option.flag) known = &option;
    if ((!known && flag != "--timeout-ms" && flag != "--restart") || !value) {
      std::fprintf(stderr, "scx_%s: %s: %s\n", scheduler.name, words[i],
                   value ? "no such option" : "an option and a number are expected");
      print_usage(scheduler, stderr);
      return std::nullopt;
    }
    if (known)
      result.config.*known->field = *value;
    else if (flag == "--restart")
      result.restart = *value != 0;
    else
      result.timeout_ms = static_cast<std::uint32_t>(*value);
  }
  result.config.own_pid = static_cast<__u64>(getpid());
  return result;
}

// The configuration in its map section, to be written before the load.
scx_config* find_config(bpf_object* object) {
  std::size_t size = 0;
  bpf_map* map = bpf_object__find_map_by_name(object, ".rodata.config");
  void* data = map ? bpf_map__initial_value(map, &size) : nullptr;
  return size >= sizeof(scx_config) ? static_cast<scx_config*>(data) : nullptr;
}

// A record in a map section, shared with the loaded BPF half. It stays mapped as long as the process lives.
template <typename Record>
const Record* map_record(bpf_object* object, const char* section) {
  bpf_map* map = bpf_object__find_map_by_name(object, section);
  if (!map || bpf_map__value_size(map) < sizeof(Record)) return nullptr;
  void* data = mmap(nullptr, sizeof(Record), PROT_READ, MAP_SHARED, bpf_map__fd(map), 0);
  return data == MAP_FAILED ? nullptr : static_cast<const Record*>(data);
}

bpf_map* find_ops(bpf_object* object) {
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, object) {
    if (bpf_map__type(map) == BPF_MAP_TYPE_STRUCT_OPS) return map;
  }
  return nullptr;
}

// Sets ops.timeout_ms in the struct_ops map, at the offset that the object's own BTF gives.
bool set_timeout(bpf_object* object, bpf_map* ops, std::uint32_t timeout_ms) {
  std::size_t size = 0;
  char* value = static_cast<char*>(bpf_map__initial_value(ops, &size));
  const btf* types = bpf_object__btf(object);
  int id = btf__find_by_name_kind(types, "sched_ext_ops", BTF_KIND_STRUCT);
  if (!value || id < 0) return false;
  const btf_type* type = btf__type_by_id(types, id);
  for (unsigned i = 0; i < btf_vlen(type); ++i) {
    const char* name = btf__name_by_offset(types, btf_members(type)[i].name_off);
    std::size_t offset = btf_member_bit_offset(type, i) / 8;
    if (std::string_view(name) != "timeout_ms" || offset + sizeof(timeout_ms) > size) continue;
    std::memcpy(value + offset, &timeout_ms, sizeof(timeout_ms));
    return true;
  }
  return false;
}

__s32 exit_kind(const scx_exit_record* record) { return __atomic_load_n(&record->kind, __ATOMIC_ACQUIRE); }

void print_status(const Scheduler& scheduler, const scx_stats* stats) {
  auto read = [](const __u64& counter) { return __atomic_load_n(&counter, __ATOMIC_RELAXED); };
  std::printf("[%s] enqueued=%llu dispatched=%llu idle_picks=%llu\n", scheduler.name, read(stats->enqueued),
              read(stats->dispatched), read(stats->idle_picks));
}

// Returns when the kernel has disabled the scheduler, or at SIGINT or SIGTERM.
void watch(const Scheduler& scheduler, const scx_stats* stats, const scx_exit_record* record,
           const sigset_t& stop_signals) {
  constexpr unsigned polls_per_second = 20;
  const timespec period{.tv_sec = 0, .tv_nsec = 1'000'000'000 / polls_per_second};
  for (unsigned polls = 0; exit_kind(record) == 0; ++polls) {
    if (polls % polls_per_second == 0) {
      print_status(scheduler, stats);
      if (scheduler.on_tick) scheduler.on_tick(polls / polls_per_second);
    }
    if (sigtimedwait(&stop_signals, nullptr, &period) > 0) return;
  }
}

// As watch(), for a user half that has work to do.
void serve(const Scheduler& scheduler, bpf_object* object, const scx_config& config, const scx_stats* stats,
           const scx_exit_record* record, const sigset_t& stop_signals) {
  const timespec none{};
  time_t second = 0;
  while (exit_kind(record) == 0 && scheduler.serve(object, config)) {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    if (now.tv_sec != second) print_status(scheduler, stats);
    second = now.tv_sec;
    if (sigtimedwait(&stop_signals, nullptr, &none) > 0) return;
  }
}

void print_exit(const scx_exit_record* record) {
  const char* rule = "================================================================================";
  if (exit_kind(record) == 0) {
    std::printf("EXIT: unknown, the kernel did not call ops.exit\n");
    return;
  }
  if (record->dump[0]) std::printf("\nDEBUG DUMP\n%s\n\n%s\n%s\n\n", rule, record->dump, rule);
  std::printf("EXIT: %s", record->reason);
  if (record->msg[0]) std::printf(" (%s)", record->msg);
  std::printf("\nexit kind %#x, exit code %lld\n", static_cast<unsigned>(record->kind), record->exit_code);
}

}  // namespace

int run(const Scheduler& scheduler, int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  std::span<char*> words(argv, static_cast<std::size_t>(argc));
  if (words.size() == 2 && std::string_view(words[1]) == "--help") {
    print_usage(scheduler, stdout);
    return 0;
  }
  auto arguments = parse_arguments(scheduler, words.subspan(words.empty() ? 0 : 1));
  if (!arguments) return 2;

  // Blocked before the load, so that a signal is answered by an orderly detach whenever it comes.
  sigset_t stop_signals;
  sigemptyset(&stop_signals);
  sigaddset(&stop_signals, SIGINT);
  sigaddset(&stop_signals, SIGTERM);
  sigprocmask(SIG_BLOCK, &stop_signals, nullptr);

  if (scheduler.before_load)
    if (int status = scheduler.before_load()) return status;

  auto fail = [&](const char* what, int error) {
    std::fprintf(stderr, "scx_%s: %s: %s\n", scheduler.name, what,
                 std::generic_category().message(error).c_str());
    return 1;
  };
  LIBBPF_OPTS(bpf_object_open_opts, options, .object_name = scheduler.name);
  Object object(bpf_object__open_mem(
      scx_bpf_object, static_cast<std::size_t>(scx_bpf_object_end - scx_bpf_object), &options));
  if (!object) return fail("cannot open the BPF object", errno);
  auto* config = find_config(object.get());
  bpf_map* ops = find_ops(object.get());
  if (!config || !ops) return fail("the BPF object lacks its config or its ops", ENOENT);
  *config = arguments->config;
  if (arguments->timeout_ms && !set_timeout(object.get(), ops, *arguments->timeout_ms))
    return fail("cannot set the timeout", EINVAL);
  if (int error = bpf_object__load(object.get())) return fail("cannot load the BPF object", -error);

  errno = ENOENT;
  auto* stats = map_record<scx_stats>(object.get(), ".bss.stats");
  auto* record = map_record<scx_exit_record>(object.get(), ".bss.uei");
  if (!stats || !record) return fail("the BPF object lacks its stats or its exit record", errno);
  Link link(bpf_map__attach_struct_ops(ops));
  if (!link) return fail("cannot attach the scheduler", errno);
  std::printf("[%s] attached\n", scheduler.name);

  if (scheduler.serve)
    serve(scheduler, object.get(), arguments->config, stats, record, stop_signals);
  else
    watch(scheduler, stats, record, stop_signals);
  link.reset();  // ops.exit has run when this returns
  print_status(scheduler, stats);
  print_exit(record);
  constexpr __s64 act_restart = 1LL << 48;  // SCX_ECODE_ACT_RESTART
  if (arguments->restart && exit_kind(record) != 0 && (record->exit_code & act_restart) != 0) {
    execv("/proc/self/exe", argv);
    return fail("cannot start again", errno);
  }
  return 0;
}

}  // namespace scx
