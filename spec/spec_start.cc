// What a test needs to start: `extra_args`, `files`, `config`, `env`, `sysctl`, `kernel_args`, `kernels`, `build`.
#include <algorithm>
#include <filesystem>

#include "base/wording.h"
#include "schemas/guest_paths.h"
#include "schemas/spec_generated.h"
#include "spec/kernel_range.h"
#include "spec/spec_resolve.h"

namespace ktstr {
namespace {

namespace fs = std::filesystem;

// Attributes that are about a scheduler: an error in a test that has none.
constexpr std::string_view kOfScheduler[] = {"extra_args", "config", "config_arg", "env", "build"};
// Words of the kernel's command line that are ours.
constexpr std::string_view kOurWords[] = {"init=", "rdinit=", "ktstr."};

bool one_word(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c != 0x7f; });
}

void replace_all(std::string& text, std::string_view what, std::string_view by) {
  for (size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += by.size())
    text.replace(at, what.size(), by);
}

std::string folder_without_slash(std::string_view folder) {
  return std::string(folder.substr(0, folder.size() - 1));
}

class Starter {
 public:
  Starter(const RawTest& raw, const MergedLayer& merged, const ResolveContext& context, TestSpecT& spec)
      : raw_(raw), merged_(merged), context_(context), spec_(spec) {}

  void resolve(const std::vector<std::string>& scheduler_args) {
    if (!spec_.scheduler)
      for (std::string_view name : kOfScheduler)
        if (const auto* set = find_value(raw_.attributes, name))
          error(set->line, std::string(name) + " in a test without a scheduler", "add scheduler = \"…\"");
    files();
    if (spec_.scheduler) {
      config();
      arguments(scheduler_args);
      environment();
      if (const auto* build = find_value(merged_, "build"))
        spec_.scheduler->build = std::get<std::string>(build->value);
    }
    for (auto& payload : spec_.payloads)
      for (std::string& arg : payload->args) fill_files(arg);
    settings();
    kernel();
  }

 private:
  void error(unsigned line, std::string_view what, std::string_view hint = "") {
    context_.errors.add(line, what, hint);
  }
  static void fill_files(std::string& text) {
    replace_all(text, "{files}", folder_without_slash(kGuestFiles));
  }

  // `{config}` names a file only where there is one.
  std::string filled(std::string text) {
    fill_files(text);
    if (spec_.scheduler->config_path.empty()) return text;
    if (text.find("{config}") != std::string::npos) config_named_ = true;
    replace_all(text, "{config}", spec_.scheduler->config_path);
    return text;
  }

  void files() {
    const auto* set = find_value(merged_, "files");
    if (!set) return;
    for (const std::string& name : std::get<SpecTexts>(set->value)) {
      const std::string base = fs::path(name).filename().string();
      if (base.empty() || base == "." || base == "..") {
        error(set->line, "files: " + in_quotes(name) + " names no file");
        continue;
      }
      auto same = std::find_if(spec_.files.begin(), spec_.files.end(),
                               [&](const auto& f) { return fs::path(f->guest_path).filename() == base; });
      if (same != spec_.files.end()) {
        if ((*same)->name != name)
          error(set->line,
                "files: " + in_quotes((*same)->name) + " and " + in_quotes(name) +
                    " have the same name in the VM",
                "rename one");
        continue;
      }
      auto file = std::make_unique<TestFileT>();
      file->name = name;
      file->guest_path = kGuestFiles + base;
      if (context_.options.binaries) file->host_path = find_file(name, set->line);
      spec_.files.push_back(std::move(file));
    }
  }

  std::string find_file(const std::string& name, unsigned line) {
    std::error_code ec;
    const fs::path given(name);
    const fs::path place = given.is_absolute() ? given : fs::path(context_.path).parent_path() / given;
    if (fs::is_regular_file(place, ec)) return fs::absolute(place, ec).lexically_normal().string();
    if (fs::is_directory(place, ec)) {
      error(line, "files: " + in_quotes(name) + " is a folder", "name its files");
      return "";
    }
    if (name.find('/') == std::string::npos)
      if (auto program = context_.options.binaries->find(name, context_.path)) return *program;
    error(line,
          "files: " + in_quotes(name) +
              " not found; looked for: " + fs::absolute(place, ec).lexically_normal().string(),
          "a path is relative to the spec's folder");
    return "";
  }

  void config() {
    const auto* set = find_value(merged_, "config");
    if (!set) return;
    spec_.scheduler->config = std::get<std::string>(set->value);
    fill_files(spec_.scheduler->config);
    spec_.scheduler->config_path = kGuestConfigs + spec_.scheduler->name;
    config_line_ = set->line;
  }

  void arguments(const std::vector<std::string>& scheduler_args) {
    SchedulerSpecT& scheduler = *spec_.scheduler;
    for (const std::string& arg : scheduler_args) scheduler.args.push_back(filled(arg));
    if (const auto* extra = find_value(merged_, "extra_args"))
      for (const std::string& arg : std::get<SpecTexts>(extra->value)) scheduler.args.push_back(filled(arg));
    const auto* config_arg = find_value(merged_, "config_arg");
    if (!config_arg || scheduler.config_path.empty()) return;
    config_named_ = true;
    std::string word = std::get<std::string>(config_arg->value);
    if (word.ends_with('=') || word.ends_with(':')) {
      scheduler.args.push_back(word + scheduler.config_path);
      return;
    }
    if (!word.empty()) scheduler.args.push_back(std::move(word));
    scheduler.args.push_back(scheduler.config_path);
  }

  void environment() {
    if (const auto* env = find_value(merged_, "env"))
      for (const auto& [key, value] : std::get<SpecPairs>(env->value)) {
        if (!one_word(key) || key.find('=') != std::string::npos)
          error(env->line, "env: " + in_quotes(key) + " is no name of a variable");
        add(spec_.scheduler->env, key, filled(value));
      }
    if (!spec_.scheduler->config_path.empty() && !config_named_)
      error(config_line_, "config: no argument names the file",
            "add config_arg = \"--config\", or {config} in args");
  }

  void settings() {
    const auto* sysctl = find_value(merged_, "sysctl");
    if (!sysctl) return;
    for (const auto& [key, value] : std::get<SpecPairs>(sysctl->value)) {
      const bool good =
          one_word(key) && key[0] != '.' && key[0] != '/' && key.find("..") == std::string::npos;
      if (!good)
        error(sysctl->line, "sysctl: " + in_quotes(key) + " is no name of a setting",
              "for example kernel.sched_schedstats");
      add(spec_.sysctl, key, value);
    }
  }

  void kernel() {
    if (const auto* words = find_value(merged_, "kernel_args"))
      for (const std::string& word : std::get<SpecTexts>(words->value)) {
        if (!one_word(word)) error(words->line, "kernel_args: " + in_quotes(word) + " is not one word");
        for (std::string_view ours : kOurWords)
          if (word.starts_with(ours))
            error(words->line, "kernel_args: " + in_quotes(word) + ": this word is ktstr's");
      }
    if (const auto* kernels = find_value(merged_, "kernels"))
      for (const std::string& condition : std::get<SpecTexts>(kernels->value))
        if (auto good = check_kernel_condition(condition); !good)
          error(kernels->line, "kernels: " + good.error().message(), good.error().hint());
  }

  static void add(std::vector<std::unique_ptr<KeyValueT>>& to, const std::string& key, std::string value) {
    auto pair = std::make_unique<KeyValueT>();
    pair->key = key;
    pair->value = std::move(value);
    to.push_back(std::move(pair));
  }

  const RawTest& raw_;
  const MergedLayer& merged_;
  const ResolveContext& context_;
  TestSpecT& spec_;
  bool config_named_ = false;
  unsigned config_line_ = 0;
};

}  // namespace

void resolve_start(const RawTest& raw, const MergedLayer& merged,
                   const std::vector<std::string>& scheduler_args, const ResolveContext& context,
                   TestSpecT& spec) {
  Starter(raw, merged, context, spec).resolve(scheduler_args);
}

}  // namespace ktstr
