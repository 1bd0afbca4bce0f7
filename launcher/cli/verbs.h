// The verbs of ktstr-launch by group, and the options that several of them have. Only the files of this table know CLI11.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "launcher/cli/command_line.h"

namespace CLI {
class App;
}

namespace ktstr {

using Argv = std::vector<std::string>;
using Runner = std::function<int()>;  // the process's exit code

struct Verb {
  const char* name;
  const char* help;
  // Adds the verb's options; what it returns owns them and runs the verb once they are parsed.
  Runner (*add)(CLI::App& command, const Argv& argv);
};

std::span<const Verb> run_verbs();
std::span<const Verb> search_verbs();
std::span<const Verb> record_verbs();
std::span<const Verb> host_verbs();

inline constexpr char kBisectExit[] = "--bisect-exit";

void add_print_options(CLI::App& command, EventPrintOptions& print);
// What `run` and `list` make several tests of one by.
void add_axes(CLI::App& command, std::vector<std::string>& kernels, std::vector<NamedTopology>& topologies);
void add_html_option(CLI::App& command, DocumentOptions& documents);
void add_document_options(CLI::App& command, DocumentOptions& documents);

}  // namespace ktstr
