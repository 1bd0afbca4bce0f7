// The user's templates: DIR/KEY.ktvm, complete or absent, and DIR/KEY.lock, held (flock) while one is made. A dead process
// holds no lock.
//
// Thread rule: none; any number of processes may use one directory. A template that is being restored may be removed at any
// time: who has opened it keeps it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace ktstr {

struct StoredTemplate {
  std::string key, path;
  uint64_t bytes = 0;        // on the disk
  uint64_t used_unix_s = 0;  // last time that a VM was restored from it
};

class TemplateStore {
 public:
  static constexpr uint64_t kDefaultCap = uint64_t{2} << 30;  // bytes of all templates

  explicit TemplateStore(std::string dir, uint64_t cap = kDefaultCap) : dir_(std::move(dir)), cap_(cap) {}
  // $XDG_CACHE_HOME/ktstr/templates, or $HOME/.cache/ktstr/templates; `getenv` may return null. Fails if neither is set.
  static Result<std::string> default_dir(const std::function<const char*(const char*)>& getenv);

  const std::string& dir() const { return dir_; }
  std::string path(const std::string& key) const { return dir_ + "/" + key + ".ktvm"; }
  bool has(const std::string& key) const;

  // The right to make a template. nullopt: another process makes it now. Creates the directory, 0700.
  Result<std::optional<UniqueFd>> try_lock(const std::string& key);
  // Where the holder of the lock writes it: a fresh name in the same directory.
  std::string draft(const std::string& key) const { return path(key) + ".new"; }
  // The draft takes its name; then the templates that were used least lately go until all are below the cap.
  Status publish(const std::string& key);
  // It was used now.
  void touch(const std::string& key) const;
  void remove(const std::string& key) const;

  // The one that was used last comes first.
  std::vector<StoredTemplate> list() const;
  // Removes all templates, drafts of dead processes, and locks that nobody holds. Returns the bytes that were freed.
  uint64_t clean();

 private:
  std::string dir_;
  uint64_t cap_;
};

}  // namespace ktstr
