#include <CLI/CLI.hpp>

#include "base/result.h"
#include "launcher/cli/verbs.h"

namespace ktstr {

void add_print_options(CLI::App& command, EventPrintOptions& print) {
  command.add_flag("--json", print.json, "one JSON object a line");
  command.add_option("--type", print.types, "only these event types (ConsoleLine, …)");
  command.add_option("--source", print.sources, "only these sources (guest, monitor, …)");
  command.add_option("--vm", print.vms, "only these VMs (Host, Primary, Repro)");
  command.add_option("--from", print.from_s, "seconds since the run's start");
  command.add_option("--to", print.to_s, "seconds since the run's start");
}

// What `run` and `list` make several tests of one by.
void add_axes(CLI::App& command, std::vector<std::string>& kernels, std::vector<NamedTopology>& topologies) {
  command
      .add_option("--kernel", kernels,
                  "cached series or release, range of cached series (6.16..7.3), image, or built source "
                  "tree; several: each "
                  "test runs on each (default: KTSTR_KERNEL, else the newest cached)")
      ->allow_extra_args(false);
  command.add_option_function<std::string>(
      "--topologies",
      [&topologies](const std::string& list) {
        auto picked = pick_topologies(list);
        if (!picked) throw CLI::ValidationError(picked.error().message(), picked.error().hint());
        topologies = std::move(*picked);
      },
      "run each test on each of these: all, small (up to 8 CPUs), or names: 1n2l4c1t,2n4l2c1t (NUMA nodes, "
      "LLCs, cores per LLC, "
      "threads per core)");
}

void add_html_option(CLI::App& command, DocumentOptions& documents) {
  command.add_option("--html", documents.html,
                     "write a page of all tests, index.html, into this folder: charts, logs, reports");
}

void add_document_options(CLI::App& command, DocumentOptions& documents) {
  command.add_option("--junit", documents.junit, "write JUnit XML of all tests to this file (-: stdout)");
  command.add_option("--json", documents.json, "write JSON to this file, a line a test (docs/formats.md)");
  command.add_option("--ktap", documents.ktap, "write kernel TAP to this file");
  command.add_option("--markdown", documents.markdown, "write Markdown to this file");
  add_html_option(command, documents);
}

}  // namespace ktstr
