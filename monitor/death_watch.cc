#include "monitor/death_watch.h"

namespace ktstr {

std::optional<Death> DeathWatch::look() {
  const Field& kind = kernel_.layout().scx.exit_kind;
  const auto root = read_scx_root(kernel_);
  if (!kind || !root || root->address == 0 || *root == told_) return std::nullopt;
  const auto value = kind.read(kernel_.memory(), root->address);
  if (!value) return std::nullopt;
  if (*value == 0) {
    alive_ = *root;
    return std::nullopt;
  }
  // The word after the last one's end is memory that was freed: only one that was seen alive can die. The
  // sequence number grows at the very end of enabling, so it may differ.
  if (alive_.address != root->address) return std::nullopt;
  told_ = *root;
  return Death{*root, *value};
}

}  // namespace ktstr
