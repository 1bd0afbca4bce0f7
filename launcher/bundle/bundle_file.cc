#include "launcher/bundle/bundle_file.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <filesystem>

#include "base/small_files.h"

namespace ktstr {
namespace {

struct FreeReader {
  void operator()(archive* a) const { archive_read_free(a); }
};
struct FreeEntry {
  void operator()(archive_entry* e) const { archive_entry_free(e); }
};

std::string said(archive* a) {
  const char* text = archive_error_string(a);
  return text ? text : "unknown failure";
}

constexpr unsigned char kZstdMagic[] = {0x28, 0xb5, 0x2f, 0xfd};

}  // namespace

struct BundleWriter::State {
  struct FreeWriter {
    void operator()(archive* a) const { archive_write_free(a); }
  };
  std::string path, new_path;
  UniqueFd fd;
  std::unique_ptr<archive, FreeWriter> out;
  ~State() {
    out.reset();
    if (fd) ::unlink(new_path.c_str());
  }

  Error failed() const {
    const int err = archive_errno(out.get());
    const std::string what =
        path + ": " + said(out.get()) + (err > 0 ? std::string(": ") + std::strerror(err) : "");
    return err == ENOSPC || err == EDQUOT ? Error::exhausted(what) : Error::system(what);
  }
  Status begin(const std::string& name, uint64_t size) {
    std::unique_ptr<archive_entry, FreeEntry> entry(archive_entry_new());
    archive_entry_set_pathname(entry.get(), (std::string(kBundleFolder) + "/" + name).c_str());
    archive_entry_set_filetype(entry.get(), AE_IFREG);
    archive_entry_set_perm(entry.get(), 0600);
    archive_entry_set_size(entry.get(), static_cast<la_int64_t>(size));
    archive_entry_set_mtime(entry.get(), 0, 0);
    if (archive_write_header(out.get(), entry.get()) != ARCHIVE_OK) return failed();
    return {};
  }
};

BundleWriter::BundleWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}
BundleWriter::BundleWriter(BundleWriter&&) noexcept = default;
BundleWriter::~BundleWriter() = default;

Result<BundleWriter> BundleWriter::create(const std::string& path) {
  auto state = std::make_unique<State>();
  state->path = path;
  state->new_path = path + ".new." + std::to_string(::getpid());
  ::unlink(state->new_path.c_str());
  state->fd =
      UniqueFd(::open(state->new_path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!state->fd) return Error::from_errno("create " + path);
  state->out.reset(archive_write_new());
  if (archive_write_set_format_pax_restricted(state->out.get()) != ARCHIVE_OK ||
      archive_write_add_filter_zstd(state->out.get()) != ARCHIVE_OK ||
      archive_write_open_fd(state->out.get(), state->fd.get()) != ARCHIVE_OK)
    return state->failed();
  return BundleWriter(std::move(state));
}

Status BundleWriter::add(const std::string& name, std::string_view text) {
  if (auto s = state_->begin(name, text.size()); !s) return s;
  if (!text.empty() &&
      archive_write_data(state_->out.get(), text.data(), text.size()) != static_cast<la_ssize_t>(text.size()))
    return state_->failed();
  return {};
}

Status BundleWriter::add_file(const std::string& name, const std::string& path) {
  UniqueFd in(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat st{};
  if (!in || ::fstat(in.get(), &st) != 0) return Error::from_errno("read " + path);
  if (auto s = state_->begin(name, static_cast<uint64_t>(st.st_size)); !s) return s;
  std::array<char, 256 << 10> block;
  // What a file grows meanwhile (a live run's log) stays out.
  for (uint64_t left = static_cast<uint64_t>(st.st_size); left > 0;) {
    const ssize_t got = ::read(in.get(), block.data(), std::min<uint64_t>(block.size(), left));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Error::from_errno("read " + path);
    if (got == 0) return Error::system(path + ": became shorter while it was read");
    if (archive_write_data(state_->out.get(), block.data(), static_cast<size_t>(got)) != got)
      return state_->failed();
    left -= static_cast<uint64_t>(got);
  }
  return {};
}

Status BundleWriter::finish() {
  if (archive_write_close(state_->out.get()) != ARCHIVE_OK) return state_->failed();
  if (::rename(state_->new_path.c_str(), state_->path.c_str()) != 0)
    return Error::from_errno("rename to " + state_->path);
  state_->fd.reset();
  return {};
}

bool looks_like_bundle(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  unsigned char magic[sizeof(kZstdMagic)] = {};
  return fd && ::pread(fd.get(), magic, sizeof(magic), 0) == static_cast<ssize_t>(sizeof(magic)) &&
         std::memcmp(magic, kZstdMagic, sizeof(magic)) == 0;
}

Result<UniqueFd> log_of_bundle(const std::string& path, const BundleBounds& bounds) {
  const auto bad = [&](const std::string& what) {
    return Error::invalid(path + ": not a usable bundle: " + what)
        .with_hint("ktstr-launch bundle LOG makes one");
  };
  std::unique_ptr<archive, FreeReader> in(archive_read_new());
  archive_read_support_filter_zstd(in.get());
  archive_read_support_format_tar(in.get());
  if (archive_read_open_filename(in.get(), path.c_str(), 256 << 10) != ARCHIVE_OK) return bad(said(in.get()));
  std::error_code error;
  const std::string folder = std::filesystem::temp_directory_path(error).string();
  UniqueFd log(::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (!log) {
    std::string name = folder + "/ktstr-bundle-XXXXXX";
    log = UniqueFd(::mkostemp(name.data(), O_CLOEXEC));
    if (!log) return Error::from_errno("make a temporary file in " + folder);
    ::unlink(name.c_str());
  }
  const std::string prefix = std::string(kBundleFolder) + "/";
  bool found = false;
  size_t members = 0;
  uint64_t others = 0;
  while (true) {
    archive_entry* entry = nullptr;
    const int code = archive_read_next_header(in.get(), &entry);
    if (code == ARCHIVE_EOF) break;
    if (code != ARCHIVE_OK) return bad(said(in.get()));
    if (++members > bounds.members) return bad("more than " + std::to_string(bounds.members) + " members");
    const char* raw = archive_entry_pathname(entry);
    const std::string name = raw ? raw : "";
    if (archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry) ||
        archive_entry_symlink(entry))
      return bad("\"" + name + "\" is no plain file");
    if (!name.starts_with(prefix) || name.find('/', prefix.size()) != name.npos ||
        name.size() == prefix.size() || name == prefix + "..")
      return bad("\"" + name + "\" lies outside of " + kBundleFolder);
    const bool is_log = name == prefix + kBundleLog;
    if (is_log && found) return bad("it holds two logs");
    found = found || is_log;
    uint64_t bytes = 0;
    std::array<char, 256 << 10> block;
    while (true) {
      const la_ssize_t got = archive_read_data(in.get(), block.data(), block.size());
      if (got < 0) return bad(said(in.get()));
      if (got == 0) break;
      bytes += static_cast<uint64_t>(got);
      if (!is_log) others += static_cast<uint64_t>(got);
      if ((is_log && bytes > bounds.log_bytes) || others > bounds.other_bytes)
        return bad("\"" + name + "\" is too large");
      if (!is_log) continue;
      if (auto s = write_all(log.get(), {block.data(), static_cast<size_t>(got)}, "unpack the log"); !s)
        return std::move(s).error();
    }
  }
  if (!found) return bad(std::string("it holds no ") + kBundleLog);
  return log;
}

}  // namespace ktstr
