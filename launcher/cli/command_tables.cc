#include "launcher/cli/command_tables.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "version.h"

namespace ktstr {
namespace {

std::vector<const CLI::App*> verbs_of(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App*) { return true; });
}

std::vector<std::string> flags_of(const CLI::App& app) {
  std::vector<std::string> out;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) out.push_back("--" + name);
    for (const std::string& name : option->get_snames()) out.push_back("-" + name);
  }
  return out;
}

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : " ") + word;
  return out;
}

// A word of one shell argument: in single quotes.
std::string quoted(const std::string& text) {
  std::string out = "'";
  for (char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

// The words after each verb: "run", "kernel", "kernel fetch".
void each_command(const CLI::App& app, const std::string& path,
                  const std::function<void(const std::string&, const CLI::App&)>& visit) {
  for (const CLI::App* verb : verbs_of(app)) {
    const std::string name = path.empty() ? verb->get_name() : path + " " + verb->get_name();
    visit(name, *verb);
    each_command(*verb, name, visit);
  }
}

std::vector<std::string> names_of(const std::vector<const CLI::App*>& verbs) {
  std::vector<std::string> out;
  for (const CLI::App* verb : verbs) out.push_back(verb->get_name());
  return out;
}

std::string bash(const CLI::App& app) {
  std::string cases;
  each_command(app, "", [&](const std::string& path, const CLI::App& command) {
    cases += fmt::format("    {}) words={} ;;\n", quoted(path),
                         quoted(joined(names_of(verbs_of(command))) + " " + joined(flags_of(command))));
  });
  return fmt::format(
      "# ktstr-launch completions bash\n"
      "_ktstr_launch() {{\n"
      "  local current=${{COMP_WORDS[COMP_CWORD]}} path='' i words\n"
      "  for ((i = 1; i < COMP_CWORD; ++i)); do\n"
      "    case \"${{path:+$path }}${{COMP_WORDS[i]}}\" in\n"
      "      {}) path=\"${{path:+$path }}${{COMP_WORDS[i]}}\" ;;\n"
      "    esac\n"
      "  done\n"
      "  case \"$path\" in\n"
      "    '') words={} ;;\n{}"
      "  esac\n"
      "  mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$current\")\n"
      "  [[ $current == -* || -z $path ]] || mapfile -t -O \"${{#COMPREPLY[@]}}\" COMPREPLY < <(compgen -f "
      "-- \"$current\")\n"
      "}}\n"
      "complete -o filenames -F _ktstr_launch ktstr-launch\n",
      [&] {
        std::string all;
        each_command(app, "", [&](const std::string& path, const CLI::App&) {
          all += (all.empty() ? "" : "|") + quoted(path);
        });
        return all;
      }(),
      quoted(joined(names_of(verbs_of(app))) + " " + joined(flags_of(app))), cases);
}

// What zsh's _arguments and _describe take: no bracket, no colon.
std::string zsh_text(const std::string& text) {
  std::string out;
  for (char c : text) {
    if (c == '[' || c == ']' || c == ':' || c == '\\') out += '\\';
    out += c == '\n' ? ' ' : c;
  }
  return out;
}

std::string zsh(const CLI::App& app) {
  std::string verbs, cases;
  for (const CLI::App* verb : verbs_of(app))
    verbs += "    " + quoted(zsh_text(verb->get_name()) + ":" + zsh_text(verb->get_description())) + "\n";
  for (const CLI::App* verb : verbs_of(app)) {
    cases += "    " + verb->get_name() + ")\n      _arguments \\\n";
    for (const CLI::Option* option : verb->get_options())
      for (const std::string& name : option->get_lnames())
        cases += "        " +
                 quoted("--" + name + "[" + zsh_text(option->get_description()) + "]" +
                        (option->get_items_expected_max() > 0 ? ":value:_files" : "")) +
                 " \\\n";
    const auto inner = names_of(verbs_of(*verb));
    cases += inner.empty() ? "        '*:file:_files'\n"
                           : "        " + quoted("1:verb:(" + joined(inner) + ")") + " '*:file:_files'\n";
    cases += "      ;;\n";
  }
  return "#compdef ktstr-launch\n# ktstr-launch completions zsh\n_ktstr_launch() {\n  local -a verbs\n  "
         "verbs=(\n" +
         verbs +
         "  )\n  if ((CURRENT == 2)); then\n    _describe verb verbs\n    return\n  fi\n  local "
         "verb=$words[2]\n  shift words\n"
         "  ((--CURRENT))\n  case $verb in\n" +
         cases + "  esac\n}\ncompdef _ktstr_launch ktstr-launch\n";
}

std::string fish(const CLI::App& app) {
  std::string out = "# ktstr-launch completions fish\n";
  for (const CLI::App* verb : verbs_of(app)) {
    out += fmt::format("complete -c ktstr-launch -n __fish_use_subcommand -f -a {} -d {}\n",
                       quoted(verb->get_name()), quoted(verb->get_description()));
    const std::string seen = quoted("__fish_seen_subcommand_from " + verb->get_name());
    for (const CLI::App* inner : verbs_of(*verb))
      out += fmt::format("complete -c ktstr-launch -n {} -f -a {} -d {}\n", seen, quoted(inner->get_name()),
                         quoted(inner->get_description()));
    for (const CLI::Option* option : verb->get_options()) {
      if (option->get_lnames().empty()) continue;
      out += fmt::format("complete -c ktstr-launch -n {}", seen);
      for (const std::string& name : option->get_lnames()) out += " -l " + name;
      for (const std::string& name : option->get_snames()) out += " -s " + name;
      if (option->get_items_expected_max() > 0) out += " -r";
      out += " -d " + quoted(option->get_description()) + "\n";
    }
  }
  return out;
}

// A line that begins with a dot or a quote is a command of troff's.
std::string troff(const std::string& text) {
  std::string out;
  bool line_start = true;
  for (char c : text) {
    if (line_start && (c == '.' || c == '\'')) out += "\\&";
    line_start = c == '\n';
    if (c == '\\')
      out += "\\e";
    else if (c == '-')
      out += "\\-";
    else
      out += c;
  }
  return out;
}

void options_page(const CLI::App& command, std::string& out) {
  for (const CLI::Option* option : command.get_options()) {
    std::string names;
    for (const std::string& name : option->get_snames()) names += (names.empty() ? "-" : ", -") + name;
    for (const std::string& name : option->get_lnames()) names += (names.empty() ? "--" : ", --") + name;
    if (names.empty()) names = option->get_name();
    if (option->get_items_expected_max() > 0 && !option->get_lnames().empty()) names += " VALUE";
    std::string text = option->get_description();
    if (!option->get_default_str().empty()) text += " (default: " + option->get_default_str() + ")";
    out += ".TP\n\\fB" + troff(names) + "\\fR\n" + troff(text) + "\n";
  }
}

}  // namespace

std::string completions(const CLI::App& app, const std::string& shell) {
  return shell == "bash" ? bash(app) : shell == "zsh" ? zsh(app) : fish(app);
}

std::string man_page(const CLI::App& app) {
  std::string out =
      fmt::format(".TH KTSTR\\-LAUNCH 1 \"\" \"ktstr {}\" \"ktstr\"\n.SH NAME\nktstr\\-launch \\- {}\n",
                  kVersion, troff(app.get_description()));
  out += ".SH SYNOPSIS\n\\fBktstr\\-launch\\fR VERB [OPTION ...]\n.SH OPTIONS\n";
  options_page(app, out);
  out += ".SH VERBS\n";
  each_command(app, "", [&](const std::string& path, const CLI::App& command) {
    out += ".SS " + troff(path) + "\n" + troff(command.get_description()) + "\n";
    options_page(command, out);
  });
  return out + ".SH EXIT STATUS\n.nf\n" + troff(app.get_footer()) + ".fi\n";
}

}  // namespace ktstr
