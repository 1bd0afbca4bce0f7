#include "launcher/vm/initramfs.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <set>
#include <utility>

#include "base/unique_fd.h"
#include "launcher/vm/program_files.h"

namespace ktstr {
namespace {

namespace fs = std::filesystem;

struct FreeWriter {
  void operator()(archive* a) const { archive_write_free(a); }
};
using Writer = std::unique_ptr<archive, FreeWriter>;

struct FreeEntry {
  void operator()(archive_entry* e) const { archive_entry_free(e); }
};

// What programs of a Debian system look for before they start.
constexpr std::pair<const char*, const char*> kEtcFiles[] = {
    {"/etc/passwd",
     "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n"
     "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"},
    {"/etc/group", "root:x:0:\ndaemon:x:1:\nadm:x:4:\ntty:x:5:\nnogroup:x:65534:\n"},
    {"/etc/hostname", "ktstr\n"},
    {"/etc/hosts", "127.0.0.1 localhost ktstr\n::1 localhost\n"},
    {"/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n"},
    {"/etc/machine-id", "6b74737472000000000000000000000a\n"},
    {"/etc/os-release", "PRETTY_NAME=\"ktstr guest\"\nNAME=\"ktstr\"\nID=ktstr\n"},
};
constexpr std::pair<const char*, const char*> kLinks[] = {
    {"/var/run", "/run"},
    {"/var/lock", "/run/lock"},
    {"/etc/mtab", "/proc/self/mounts"},
};

// Merged /usr: what is asked for under /lib is put under /usr/lib.
std::string normal_path(const std::string& path) {
  std::string normal = fs::path("/" + path).lexically_normal();
  while (normal.size() > 1 && normal.back() == '/') normal.pop_back();
  for (const char* merged : {"/bin/", "/sbin/", "/lib/", "/lib64/"}) {
    if (normal.starts_with(merged)) return "/usr" + normal;
  }
  return normal;
}

std::string said(archive* a) {
  const char* text = archive_error_string(a);
  return text != nullptr ? text : "unknown failure";
}

Status write_bytes(archive* out, const char* data, size_t size) {
  while (size > 0) {
    la_ssize_t n = archive_write_data(out, data, size);
    if (n <= 0) return Error::system(said(out));
    data += n;
    size -= static_cast<size_t>(n);
  }
  return {};
}

// Exactly `size` bytes, as the header promised.
Status write_host_file(archive* out, const std::string& path, uint64_t size) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return Error::from_errno("open " + path);
  std::vector<char> chunk(1 << 20);
  while (size > 0) {
    ssize_t n = ::read(fd.get(), chunk.data(), std::min<uint64_t>(chunk.size(), size));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Error::from_errno("read " + path);
    if (n == 0) return Error::system(path + " shrank while it was read");
    if (auto s = write_bytes(out, chunk.data(), static_cast<size_t>(n)); !s) return s;
    size -= static_cast<uint64_t>(n);
  }
  return {};
}

}  // namespace

Initramfs::Initramfs() {
  for (const char* dir :
       {"/dev",     "/proc",     "/sys",     "/tmp",       "/run",       "/root",    "/etc",      "/usr",
        "/usr/bin", "/usr/sbin", "/usr/lib", "/usr/lib64", "/usr/share", "/ktstr",   "/home",     "/mnt",
        "/opt",     "/srv",      "/var",     "/var/cache", "/var/lib",   "/var/log", "/var/spool"}) {
    generic_[dir].mode = S_IFDIR | 0755;
  }
  generic_["/root"].mode = S_IFDIR | 0700;
  generic_["/var/tmp"].mode = S_IFDIR | 01777;
  for (const auto& [path, text] : kEtcFiles) (void)add_bytes(path, text);
  for (const auto& [path, target] : kLinks) (void)add_symlink(path, target);
  for (const char* name : {"bin", "sbin", "lib", "lib64"}) {
    Entry link;
    link.mode = S_IFLNK | 0777;
    link.bytes = std::string("usr/") + name;
    generic_[std::string("/") + name] = link;
  }
  generic_["/dev/console"] = {.mode = S_IFCHR | 0600, .dev_major = 5, .dev_minor = 1};
  generic_["/dev/null"] = {.mode = S_IFCHR | 0666, .dev_major = 1, .dev_minor = 3};
}

const Initramfs::Entry* Initramfs::find(const std::string& path) const {
  for (const Entries* entries : {&handed_over_, &generic_})
    if (auto it = entries->find(path); it != entries->end()) return &it->second;
  return nullptr;
}

Status Initramfs::put(const std::string& guest_path, Entry entry) {
  std::string path = normal_path(guest_path);
  if (guest_path.empty() || guest_path[0] != '/' || path == "/") {
    return Error::invalid("initramfs: \"" + guest_path + "\" is not an absolute path of a file");
  }
  Entries& into = handing_over_ ? handed_over_ : generic_;
  for (fs::path parent = fs::path(path).parent_path(); parent != "/"; parent = parent.parent_path()) {
    const Entry* folder = find(parent.string());
    if (!folder) folder = &(into[parent.string()] = {.mode = S_IFDIR | 0755});
    if (!S_ISDIR(folder->mode))
      return Error::invalid("initramfs: " + parent.string() + " is not a directory");
  }
  if (const Entry* old = find(path)) {
    const bool same_kind = (old->mode & S_IFMT) == (entry.mode & S_IFMT);
    if (same_kind && old->bytes == entry.bytes && old->host_path == entry.host_path) return {};
    if (!same_kind || !old->replaceable || !handing_over_)
      return Error::invalid("initramfs: " + path + " is there twice, with different content");
  }
  into[path] = std::move(entry);
  return {};
}

Status Initramfs::add_bytes(const std::string& guest_path, std::string_view bytes, uint32_t mode) {
  Entry entry;
  entry.mode = S_IFREG | (mode & 07777);
  entry.bytes = std::string(bytes);
  entry.size = bytes.size();
  return put(guest_path, std::move(entry));
}

Status Initramfs::add_file(const std::string& guest_path, const std::string& host_path, uint32_t mode) {
  struct stat st;
  if (stat(host_path.c_str(), &st) != 0) return Error::from_errno(host_path);
  if (!S_ISREG(st.st_mode)) return Error::invalid(host_path + ": is not a file");
  Entry entry;
  entry.mode = S_IFREG | ((mode != 0 ? mode : st.st_mode) & 07777);
  entry.host_path = host_path;
  entry.size = static_cast<uint64_t>(st.st_size);
  return put(guest_path, std::move(entry));
}

Status Initramfs::add_library(const std::string& guest_path, const std::string& host_path) {
  if (auto s = add_file(guest_path, host_path, 0755); !s) return s;
  generic_[normal_path(guest_path)].replaceable = true;
  return {};
}

Status Initramfs::add_directory(const std::string& guest_path, uint32_t mode) {
  Entry entry;
  entry.mode = S_IFDIR | (mode & 07777);
  return put(guest_path, std::move(entry));
}

Status Initramfs::add_symlink(const std::string& guest_path, const std::string& target) {
  Entry entry;
  entry.mode = S_IFLNK | 0777;
  entry.bytes = target;
  return put(guest_path, std::move(entry));
}

Status Initramfs::add_program(const std::string& guest_path, const std::string& host_path) {
  auto files = collect_program_files(host_path, guest_path);
  if (!files) return std::move(files).error();
  for (const auto& file : *files) {
    if (auto s = add_file(file.guest_path, file.host_path, 0755); !s) return s;
  }
  return {};
}

Status Initramfs::add_test_file(const std::string& guest_path, const std::string& host_path) {
  auto files = collect_test_file(host_path, guest_path);
  if (!files) return std::move(files).error();
  for (const auto& file : *files) {
    // Its own mode; what it needs is read and run.
    const uint32_t mode = file.guest_path == guest_path ? 0 : 0755;
    if (auto s = add_file(file.guest_path, file.host_path, mode); !s) return s;
  }
  return {};
}

Status Initramfs::visit(Part part, const std::function<Status(const File&)>& take) const {
  for (const auto& [path, entry] : part == Part::kHandover ? handed_over_ : generic_) {
    if (auto s = take({path, entry.mode, entry.size, entry.bytes, entry.host_path}); !s) return s;
  }
  return {};
}

std::vector<std::string> Initramfs::paths() const {
  std::set<std::string> paths;
  for (const Entries* entries : {&generic_, &handed_over_})
    for (const auto& [path, entry] : *entries) paths.insert(path);
  return {paths.begin(), paths.end()};
}

uint64_t Initramfs::content_bytes() const {
  uint64_t total = 0;
  for (const Entries* entries : {&generic_, &handed_over_})
    for (const auto& [path, entry] : *entries) total += entry.size;
  return total;
}

Status Initramfs::write(const std::string& path, InitramfsCompression compression) const {
  std::string temporary = path + ".tmp";
  Writer out(archive_write_new());
  archive_write_set_format_cpio_newc(out.get());
  if (compression == InitramfsCompression::kZstd) archive_write_add_filter_zstd(out.get());
  archive_write_set_bytes_in_last_block(out.get(), 1);
  if (archive_write_open_filename(out.get(), temporary.c_str()) != ARCHIVE_OK) {
    return Error::system("write " + temporary + ": " + said(out.get()));
  }
  auto failed = [&](const std::string& what) {
    out.reset();
    ::unlink(temporary.c_str());
    return Error::system("initramfs " + path + ": " + what);
  };
  std::unique_ptr<archive_entry, FreeEntry> header(archive_entry_new());
  for (const auto& [name, entry] : generic_) {
    archive_entry_clear(header.get());
    archive_entry_set_pathname(header.get(), name.c_str() + 1);
    archive_entry_set_mode(header.get(), entry.mode);
    archive_entry_set_nlink(header.get(), S_ISDIR(entry.mode) ? 2 : 1);
    archive_entry_set_mtime(header.get(), 0, 0);
    if (S_ISLNK(entry.mode)) archive_entry_set_symlink(header.get(), entry.bytes.c_str());
    if (S_ISCHR(entry.mode)) {
      archive_entry_set_rdevmajor(header.get(), entry.dev_major);
      archive_entry_set_rdevminor(header.get(), entry.dev_minor);
    }
    archive_entry_set_size(header.get(), S_ISREG(entry.mode) ? static_cast<la_int64_t>(entry.size) : 0);
    if (archive_write_header(out.get(), header.get()) != ARCHIVE_OK)
      return failed(name + ": " + said(out.get()));
    if (!S_ISREG(entry.mode)) continue;
    Status s = entry.host_path.empty() ? write_bytes(out.get(), entry.bytes.data(), entry.bytes.size())
                                       : write_host_file(out.get(), entry.host_path, entry.size);
    if (!s) return failed(name + ": " + s.error().message());
  }
  if (archive_write_close(out.get()) != ARCHIVE_OK) return failed(said(out.get()));
  if (::rename(temporary.c_str(), path.c_str()) != 0) return failed(std::strerror(errno));
  return {};
}

}  // namespace ktstr
