#include "scx/named_callback.h"

#include <algorithm>

#include "base/numbers.h"

namespace ktstr {

std::optional<NamedCallback> named_callback(std::string_view message) {
  constexpr std::string_view kOps = "ops.", kFailed = "() failed (-";
  const size_t at = message.find(kOps);
  if (at == message.npos || (at > 0 && message[at - 1] != ' ' && message[at - 1] != '(')) return std::nullopt;
  std::string_view rest = message.substr(at + kOps.size());
  const size_t end = rest.find_first_not_of("abcdefghijklmnopqrstuvwxyz_");
  if (end == 0 || end == rest.npos || !rest.substr(end).starts_with("()")) return std::nullopt;
  NamedCallback named{std::string(rest.substr(0, end)), 0};
  rest = rest.substr(end);
  if (!rest.starts_with(kFailed)) return named;
  rest = rest.substr(kFailed.size());
  const auto error = parse_number<int>(rest.substr(0, std::min(rest.find(')'), rest.size())));
  if (error && *error > 0 && *error < 4096) named.error = *error;
  return named;
}

int named_task(std::string_view message) {
  int found = 0;
  for (size_t open = message.find('['); open != message.npos; open = message.find('[', open + 1)) {
    const size_t close = message.find(']', open);
    if (close == message.npos) break;
    if (open == 0 || message[open - 1] == ' ') continue;
    const auto pid = parse_number<int>(message.substr(open + 1, close - open - 1));
    if (!pid || *pid <= 0) continue;  // "SCX_DSQ_LOCAL[_ON]"
    if (found && found != *pid) return 0;
    found = *pid;
  }
  return found;
}

}  // namespace ktstr
