// The user's cache of kernels: one directory per release, complete or absent.
//
//   DIR/RELEASE/vmlinuz      the image
//   DIR/RELEASE/config       its configuration, where the package has it
//   DIR/RELEASE/btf          raw BTF of the image
//   DIR/RELEASE/vmlinux      ELF with DWARF (kernel fetch --debuginfo); absent: none
//   DIR/RELEASE/kernel.json  release, banner, build id, package, origin, time of the fetch, damaged kfuncs, which image
//                                this is true of
//   DIR/.lock                held (flock) while something is installed
//
// An entry is built in DIR/.tmp-* and renamed, so that a reader never sees half of one.
// Thread rule: none; two processes may use one directory at the same time.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace ktstr {

struct CachedKernel {
  std::string release;    // "7.3.4+deb13-cloud-amd64"
  std::string series;     // "7.3"
  std::string dir;        // DIR/RELEASE
  std::string image;      // DIR/RELEASE/vmlinuz
  std::string btf;        // DIR/RELEASE/btf
  std::string debuginfo;  // DIR/RELEASE/vmlinux, or empty
  std::string banner;
  std::string build_id;  // hex
  std::string package;   // "linux-image-7.3.4+deb13-cloud-amd64 7.3.4-1~bpo13+1"
  std::string fetched;   // ISO 8601, UTC
  // kfuncs of sched_ext that its BTF describes wrongly (bpf/kernel_image.h): schedulers that call one do not load.
  std::vector<std::string> damaged_kfuncs;
  // The image is the one that install() read: what stands here is true of it. False in entries of older versions, too.
  bool checked = false;
};

// "7.2" of "7.2.13+deb14-cloud-amd64"; empty if `release` does not start with two numbers.
std::string series_of_release(const std::string& release);
// Orders releases by their numbers, then by text: "7.10.1-x" is newer than "7.9.3-x".
bool release_less(const std::string& a, const std::string& b);

class KernelCache {
 public:
  // `dir` need not exist.
  explicit KernelCache(std::string dir) : dir_(std::move(dir)) {}

  // $XDG_CACHE_HOME/ktstr/kernels, or $HOME/.cache/ktstr/kernels; `getenv` may return null. Fails if neither
  // is set.
  static Result<std::string> default_dir(const std::function<const char*(const char*)>& getenv);

  const std::string& dir() const { return dir_; }

  // All whole entries, newest first. A missing directory is an empty cache. Broken entries are left out.
  Result<std::vector<CachedKernel>> list() const;

  // `spec`: empty (newest), a series ("7.2": newest of it) or an exact release. One without damaged kfuncs goes first, but
  // never one of an older series. nullopt: not cached.
  Result<std::optional<CachedKernel>> find(const std::string& spec) const;

  // The entry's image was read now, and what kernel.json and btf say is true of it. Not done where the cache is not writable.
  void remember_checked(const CachedKernel& kernel) const;

  // Held while an entry is made. Waits for another holder; `waiting` is called once if it has to. Removes
  // DIR/.tmp-* that a killed process left. Destroying it unlocks.
  class Lock {
   public:
    Lock(Lock&& other) noexcept;
    Lock& operator=(Lock&&) = delete;
    ~Lock();

   private:
    friend class KernelCache;
    explicit Lock(int fd) : fd_(fd) {}
    int fd_;
  };
  Result<Lock> lock(const std::function<void()>& waiting) const;

  // A new empty directory DIR/.tmp-*. REQUIRES: the lock is held.
  Result<std::string> make_staging() const;
  // Reads staging/vmlinuz, checks that it is usable (sched_ext, BTF), writes kernel.json and btf, renames the
  // directory to its release, replacing an older entry. REQUIRES: the lock is held.
  Result<CachedKernel> install(const std::string& staging, const std::string& package) const;
  // Moves `vmlinux` into the entry of `release`. REQUIRES: the lock is held.
  Result<CachedKernel> install_debuginfo(const std::string& release, const std::string& vmlinux) const;
  // Removes all but the `keep` newest releases of each series. Returns those that it removed. A VM that runs one of them has
  // read it. REQUIRES: the lock is held.
  Result<std::vector<CachedKernel>> remove_all_but(size_t keep) const;

 private:
  Result<CachedKernel> load(const std::string& name) const;

  std::string dir_;
};

}  // namespace ktstr
