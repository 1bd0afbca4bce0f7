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
  // After a scheduler is gone its memory is freed and may hold anything, so only one that was seen enabled can
  // exit. The sequence number grows at the very end of enabling, so it may differ.
  if (alive_.address != root->address) return std::nullopt;
  told_ = *root;
  return Death{*root, *value};
}

}  // namespace ktstr
