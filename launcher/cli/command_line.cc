#include "launcher/cli/command_line.h"

#include <CLI/CLI.hpp>
#include <filesystem>
#include <span>
#include <utility>

#include "base/result.h"
#include "base/standard_fds.h"
#include "base/text.h"
#include "base/wording.h"
#include "launcher/cli/verbs.h"
#include "launcher/run/folders.h"
#include "launcher/search/bisection.h"
#include "schemas/exit_code.h"
#include "schemas/limits.h"
#include "version.h"

namespace ktstr {
namespace {

constexpr char kFooter[] =
    "Exit codes: 0 all passed, 1 a test failed, 2 bad command line or spec, 3 infrastructure failure,\n"
    "4 inconclusive, 5 no test selected, 6 bad -E expression, 130/143 interrupted. shell, attach,\n"
    "minimize, bisect, explain and triage have exit codes of their own: VERB --help.\n";

}  // namespace

int report_error(const Error& error, int code) {
  // A message of several lines (all errors of a spec) is kept as it is.
  std::string text = error.to_string();
  size_t begin = 0;
  bool first = true;
  while (begin <= text.size()) {
    size_t end = std::min(text.find('\n', begin), text.size());
    std::fprintf(stderr, "%s%s\n", first ? "error: " : "",
                 printable(text.substr(begin, end - begin)).c_str());
    first = false;
    begin = end + 1;
  }
  return code;
}

std::string env_value(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

std::string program_folder() {
  std::error_code error;
  auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  return error ? "." : self.parent_path().string();
}

FolderOptions folder_options() {
  return {.out = "",
          .state_home = env_value("XDG_STATE_HOME"),
          .home = env_value("HOME"),
          .runtime_dir = env_value("XDG_RUNTIME_DIR"),
          .run_id = ""};
}

namespace {

// Of this verb and the words that chose it.
CLI::App* parsed_command(CLI::App& app) {
  CLI::App* command = &app;
  for (auto chosen = command->get_subcommands(); !chosen.empty(); chosen = command->get_subcommands())
    command = chosen.front();
  return command;
}

std::vector<std::string> option_names(CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options())
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  return names;
}

// A word that is no verb and no option: what was meant. nullopt: the error is another one.
std::optional<int> unknown_word(CLI::App& app, const Argv& words) {
  CLI::App* command = parsed_command(app);
  std::vector<std::string> verbs;
  for (const CLI::App* verb : command->get_subcommands([](const CLI::App*) { return true; }))
    verbs.push_back(verb->get_name());
  for (const std::string& word : command->remaining(false)) {
    if (word == "--") continue;
    const bool is_option = word.starts_with("-");
    if (!is_option && verbs.empty()) continue;
    const std::string name = word.substr(0, word.find('='));
    const std::string where = command == &app ? "" : command->get_name() + ": ";
    const std::string meant = closest(name, is_option ? option_names(*command) : verbs);
    return report_error(
        Error::invalid(where + "unknown " + (is_option ? "option " : "verb ") + name)
            .with_hint(meant.empty()
                           ? words[0] + " " + (command == &app ? "" : command->get_name() + " ") + "--help"
                           : "did you mean " + meant + "?"),
        kUsage);
  }
  return std::nullopt;
}

int run_verb(int argc, char** argv) {
  CLI::App app("ktstr: find out why a sched_ext scheduler failed", "ktstr-launch");
  app.set_version_flag("--version", std::string("ktstr ") + kVersion);
  app.require_subcommand(1);
  app.footer(kFooter);

  const Argv words(argv, argv + argc);
  std::vector<std::pair<CLI::App*, Runner>> verbs;
  for (const std::span<const Verb> group : {run_verbs(), search_verbs(), record_verbs(), host_verbs()}) {
    for (const Verb& verb : group) {
      CLI::App* command = app.add_subcommand(verb.name, verb.help);
      verbs.emplace_back(command, verb.add(*command, words));
    }
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    // git would take our code as a verdict on each commit.
    const int wrong =
        std::find(words.begin(), words.end(), kBisectExit) != words.end() ? kGitBisectStop : kUsage;
    if (e.get_exit_code() != 0 && unknown_word(app, words)) return wrong;
    return app.exit(e) == 0 ? 0 : wrong;
  }
  for (const auto& [command, run] : verbs)
    if (command->parsed()) return run();
  return kUsage;
}

}  // namespace

int launch_main(int argc, char** argv) {
  const int code = run_verb(argc, argv);
  auto closed = close_stdout();
  if (closed) return code;
  report_error(closed.error(), kInfra);
  return code == 0 ? kInfra : code;
}

}  // namespace ktstr
