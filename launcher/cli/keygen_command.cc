// ktstr-launch keygen: CURVE keys for `run --listen` and its remote clients.
#include <cstdio>

#include "launcher/cli/command_line.h"
#include "runtime/curve_keys.h"
#include "schemas/exit_code.h"

namespace ktstr {

std::string key_folder() {
  std::string config = env_value("XDG_CONFIG_HOME");
  if (config.empty()) config = env_value("HOME") + "/.config";
  return config + "/ktstr/keys";
}

int keygen_command(const KeygenCommandOptions& options) {
  std::string folder = options.out.empty() ? key_folder() : options.out;
  auto path = generate_client_key(folder, options.name);
  if (!path) return report_error(path.error(), exit_code(ExitCode::kUsage));
  std::printf(
      "client key: %s\n  give this file to the client: ktstr-launch watch --connect tcp://HOST:PORT --key "
      "%s.key\n"
      "authorised: %s/authorized/%s.pub (remove it to shut the client out)\n"
      "server:     ktstr-launch run --listen tcp://HOST:PORT --keys %s SPEC\n",
      path->c_str(), options.name.c_str(), folder.c_str(), options.name.c_str(), folder.c_str());
  return 0;
}

}  // namespace ktstr
