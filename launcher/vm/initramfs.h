// Builds the guest's root file system: a cpio (newc) archive, written with libarchive.
//
// Layout: merged /usr (/bin, /sbin, /lib, /lib64 are links), /dev with console and null, empty /proc, /sys,
// /tmp, /run, /root, /var and what is below it; /etc with the files that programs of a Debian system look for. Programs bring their libraries and interpreter along
// (launcher/vm/program_files.h). Paths are absolute guest paths; parents are made on need; adding the same
// path with the same content twice is fine, with another content kInvalid (but see add_library). Nothing is written before
// write().
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace ktstr {

enum class InitramfsCompression { kNone, kZstd };

class Initramfs {
 public:
  Initramfs();

  Status add_bytes(const std::string& guest_path, std::string_view bytes, uint32_t mode = 0644);
  // Content is read at write(); kNotFound when the file is not there now. mode 0: the host file's permission
  // bits.
  Status add_file(const std::string& guest_path, const std::string& host_path, uint32_t mode = 0);
  // As add_file(), mode 0755; what is handed over may bring another file of this path, which then counts.
  Status add_library(const std::string& guest_path, const std::string& host_path);
  Status add_directory(const std::string& guest_path, uint32_t mode = 0755);
  Status add_symlink(const std::string& guest_path, const std::string& target);
  // An executable with all it needs: shared libraries by DT_NEEDED, PT_INTERP, the interpreter of a script.
  // Errors name the missing library and who needs it.
  Status add_program(const std::string& guest_path, const std::string& host_path);

  // A file of a spec's `files`, with what it needs (collect_test_file).
  Status add_test_file(const std::string& guest_path, const std::string& host_path);

  // What is added from here on belongs to one test: write() leaves it out. What the archive has already is not handed over once
  // more.
  void begin_handover() { handing_over_ = true; }
  enum class Part { kGeneric, kHandover };  // added before and after begin_handover()
  struct File {
    const std::string& guest_path;
    uint32_t mode;                 // with the file type bits
    uint64_t size;                 // bytes; 0: no regular file
    const std::string& bytes;      // the content, unless host_path is given; a link's target
    const std::string& host_path;  // the file with the content; may be empty
  };
  // In order of the path, folders before what is in them. Ends with the first error.
  Status visit(Part part, const std::function<Status(const File&)>& take) const;

  // Guest paths so far, sorted.
  std::vector<std::string> paths() const;
  // Content in bytes so far.
  uint64_t content_bytes() const;

  // Writes the archive to `path` (temporary file and rename).
  Status write(const std::string& path, InitramfsCompression compression = InitramfsCompression::kNone) const;

 private:
  struct Entry {
    uint32_t mode = 0;      // with the file type bits
    std::string bytes;      // regular file from memory, or symlink target
    std::string host_path;  // regular file from the host
    uint64_t size = 0;
    uint32_t dev_major = 0, dev_minor = 0;
    bool replaceable = false;
  };
  using Entries = std::map<std::string, Entry>;  // sorted, so parents come first
  Status put(const std::string& guest_path, Entry entry);
  const Entry* find(const std::string& path) const;

  bool handing_over_ = false;
  Entries generic_;  // added before begin_handover()
  Entries handed_over_;
};

}  // namespace ktstr
