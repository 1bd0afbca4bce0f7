// [[test.payload]]: programs that run in the VM beside the workers.
#include <cmath>
#include <map>

#include "base/wording.h"
#include "schemas/guest_paths.h"
#include "schemas/spec_generated.h"
#include "spec/spec_resolve.h"

namespace ktstr {
namespace {

void read_payload(const RawTable& table, const ResolveContext& context, PayloadSpecT& payload) {
  SpecErrors& errors = context.errors;
  auto text = [&](std::string_view name, std::string_view hint) -> const Located<SpecValue>* {
    const auto* value = find_value(table.values, name);
    if (!value) errors.add(table.line, "[[test.payload]] has no " + std::string(name), hint);
    return value;
  };
  if (const auto* name = text("name", "add name = \"…\"")) {
    payload.name = std::get<std::string>(name->value);
    if (!good_name(payload.name))
      errors.add(name->line, "payload name " + in_quotes(payload.name) + " is no good name", kGoodNameHint);
  }
  if (const auto* args = find_value(table.values, "args"))
    payload.args = std::get<std::vector<std::string>>(args->value);
  if (const auto* timeout = find_value(table.values, "timeout_s"))
    payload.timeout_ns = static_cast<uint64_t>(std::llround(as_number(timeout->value) * 1e9));
  if (const auto* code = find_value(table.values, "exit_code"))
    payload.exit_code = static_cast<int32_t>(std::get<int64_t>(code->value));
  if (const auto* on_demand = find_value(table.values, "on_demand"))
    payload.on_demand = std::get<bool>(on_demand->value);

  const auto* binary = text("binary", "add binary = \"…\", a path or a name");
  if (!binary) return;
  payload.binary = std::get<std::string>(binary->value);
  if (payload.binary.empty() || payload.binary.back() == '/') {
    errors.add(binary->line, "binary = " + in_quotes(payload.binary) + " names no file");
    return;
  }
  payload.guest_path =
      kGuestPayloads + payload.name + "/" + std::filesystem::path(payload.binary).filename().string();
  if (!context.options.binaries) return;
  auto path = context.options.binaries->find(payload.binary, context.path);
  if (path)
    payload.host_path = *path;
  else
    errors.add(binary->line, "payload " + in_quotes(payload.name) + ": " + path.error().message(),
               path.error().hint());
}

}  // namespace

void resolve_payloads(const RawTest& raw, const ResolveContext& context, TestSpecT& spec) {
  std::map<std::string, unsigned> names;
  for (const RawTable& table : raw.payloads) {
    auto payload = std::make_unique<PayloadSpecT>();
    read_payload(table, context, *payload);
    auto [first, is_new] = names.emplace(payload->name, table.line);
    if (!is_new && !payload->name.empty())
      context.errors.add(
          table.line,
          "payload " + in_quotes(payload->name) + " is already in line " + std::to_string(first->second),
          "give each payload of a test a name of its own");
    if (const auto* cgroup = find_value(table.values, "cgroup")) {
      payload->cgroup = std::get<std::string>(cgroup->value);
      std::vector<std::string> known;
      for (const RawTable& group : raw.cgroups)
        if (const auto* name = find_value(group.values, "name"))
          known.push_back(std::get<std::string>(name->value));
      if (std::find(known.begin(), known.end(), payload->cgroup) == known.end())
        context.errors.add(
            cgroup->line,
            "unknown cgroup " + in_quotes(payload->cgroup) + did_you_mean(payload->cgroup, known),
            "a payload runs in one of the test's [[test.cgroup]]");
    }
    spec.payloads.push_back(std::move(payload));
  }
}

}  // namespace ktstr
