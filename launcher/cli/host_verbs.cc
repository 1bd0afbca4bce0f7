// Verbs of this host: kernel, template, keygen, doctor, completions, man.
#include <CLI/CLI.hpp>
#include <memory>
#include <utility>

#include "base/result.h"
#include "launcher/cli/command_tables.h"
#include "launcher/cli/verbs.h"

namespace ktstr {
namespace {

Runner add_kernel(CLI::App& command, const Argv&) {
  auto options = std::make_shared<KernelCommandOptions>();
  command.require_subcommand(1);
  auto* fetch_cmd = command.add_subcommand(
      "fetch", "fetch a sched_ext kernel from the distribution's archive into the cache");
  fetch_cmd->add_option("SERIES", options->series, "7.2, 6.18, … (default: the newest)");
  fetch_cmd->add_flag("--debuginfo", options->debuginfo, "fetch vmlinux too, for source lines (350 MB)");
  fetch_cmd->add_flag("--refresh", options->refresh, "fetch the series even if it is cached");
  auto* list_cmd = command.add_subcommand("list", "list the cached kernels");
  list_cmd->add_flag("--available", options->available, "list the kernels of the archive");
  auto* clean_cmd = command.add_subcommand("clean", "remove cached kernels");
  clean_cmd->add_option("--keep", options->keep, "keep the newest N releases of each series")
      ->capture_default_str();
  auto* build_cmd = command.add_subcommand(
      "build", "configure and build a source tree for ktstr; kept by commit and configuration");
  build_cmd->add_option("TREE", options->tree, "folder of the kernel's source; the build does not change it")
      ->required();
  build_cmd->add_option("--kconfig", options->fragment, "file of options: CONFIG_X=y, # CONFIG_Y is not set");
  build_cmd->add_option("--base", options->base, "configuration to start from: defconfig, tinyconfig, …")
      ->capture_default_str();
  build_cmd->add_option("-j,--jobs", options->jobs, "jobs of make (default: one per CPU)");
  build_cmd->add_flag("--configure-only", options->configure_only,
                      "print the configuration that the build would use, and stop");
  return [options, fetch_cmd, clean_cmd, build_cmd] {
    if (build_cmd->parsed()) return kernel_build_command(*options);
    if (clean_cmd->parsed()) return kernel_clean_command(*options);
    return fetch_cmd->parsed() ? kernel_fetch_command(*options) : kernel_list_command(*options);
  };
}

Runner add_template(CLI::App& command, const Argv&) {
  command.require_subcommand(1);
  auto* list_cmd = command.add_subcommand("list", "list the templates, the one used last first");
  command.add_subcommand("clean", "remove all templates");
  return [list_cmd] { return list_cmd->parsed() ? template_list_command() : template_clean_command(); };
}

Runner add_keygen(CLI::App& command, const Argv&) {
  auto options = std::make_shared<KeygenCommandOptions>();
  command.add_option("--out", options->out, "key folder (default: ~/.config/ktstr/keys)");
  command.add_option("--name", options->name, "the client's name")->capture_default_str();
  return [options] { return keygen_command(*options); };
}

Runner add_doctor(CLI::App&, const Argv&) {
  return [] { return doctor_command(); };
}

Runner add_completions(CLI::App& command, const Argv&) {
  auto shell = std::make_shared<std::string>();
  command.add_option("SHELL", *shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  return [&command, shell] {
    std::fputs(completions(*command.get_parent(), *shell).c_str(), stdout);
    return 0;
  };
}

Runner add_man(CLI::App& command, const Argv&) {
  return [&command] {
    std::fputs(man_page(*command.get_parent()).c_str(), stdout);
    return 0;
  };
}

constexpr Verb kHostVerbs[] = {
    {"kernel", "fetch, build and list kernels", add_kernel},
    {"template", "list and remove the templates that VMs are restored from", add_template},
    {"keygen", "make a key for a remote client, and the first time also the server's", add_keygen},
    {"doctor", "check this host, and print a command that fixes each problem", add_doctor},
    {"completions", "print a shell's completions: source <(ktstr-launch completions bash)", add_completions},
    {"man", "print the manual page: ktstr-launch man | man -l -", add_man},
};

}  // namespace

std::span<const Verb> host_verbs() { return kHostVerbs; }

}  // namespace ktstr
