// A .deb is an ar archive whose member data.tar.* is a compressed tar. Both layers are libarchive's work: the
// outer reader feeds the inner one through a callback, so nothing is held in memory or in a temporary file.

#include "launcher/kernel/deb_package.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <memory>

#include "base/unique_fd.h"

namespace ktstr {
namespace {

constexpr int64_t kMaxMember = 4ll << 30;

struct FreeReader {
  void operator()(archive* a) const { archive_read_free(a); }
};
using Reader = std::unique_ptr<archive, FreeReader>;

struct OuterMember {
  archive* outer;
};

la_ssize_t read_outer(archive* inner, void* context, const void** buffer) {
  auto* member = static_cast<OuterMember*>(context);
  size_t size = 0;
  la_int64_t offset = 0;
  int rc = archive_read_data_block(member->outer, buffer, &size, &offset);
  if (rc == ARCHIVE_EOF) return 0;
  if (rc < ARCHIVE_WARN) {
    archive_set_error(inner, EIO, "%s", archive_error_string(member->outer));
    return -1;
  }
  return static_cast<la_ssize_t>(size);
}

std::string said(archive* a) {
  const char* text = archive_error_string(a);
  return text != nullptr ? text : "unknown failure";
}

Status copy_member(archive* inner, const std::string& target) {
  UniqueFd fd(::open(target.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!fd) return Error::from_errno("create " + target);
  for (;;) {
    const void* data = nullptr;
    size_t size = 0;
    la_int64_t offset = 0;
    int rc = archive_read_data_block(inner, &data, &size, &offset);
    if (rc == ARCHIVE_EOF) return {};
    if (rc < ARCHIVE_WARN) return Error::invalid("damaged package: " + said(inner));
    if (offset < 0 || offset + static_cast<int64_t>(size) > kMaxMember)
      return Error::exhausted(target + ": over 4 GiB");
    const char* bytes = static_cast<const char*>(data);
    for (size_t done = 0; done < size;) {
      ssize_t n = pwrite(fd.get(), bytes + done, size - done, offset + static_cast<int64_t>(done));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return Error::from_errno("write " + target);
      done += static_cast<size_t>(n);
    }
  }
}

Status extract_data(archive* outer, std::vector<DebMember>* members) {
  Reader inner(archive_read_new());
  archive_read_support_format_tar(inner.get());
  archive_read_support_format_empty(inner.get());
  archive_read_support_filter_all(inner.get());
  OuterMember context{outer};
  if (archive_read_open(inner.get(), &context, nullptr, read_outer, nullptr) != ARCHIVE_OK) {
    return Error::invalid("damaged package: " + said(inner.get()));
  }
  auto missing = [&] {
    return std::any_of(members->begin(), members->end(), [](const DebMember& m) { return !m.found; });
  };
  archive_entry* entry = nullptr;
  while (missing()) {
    int rc = archive_read_next_header(inner.get(), &entry);
    if (rc == ARCHIVE_EOF) return {};
    if (rc < ARCHIVE_WARN) return Error::invalid("damaged package: " + said(inner.get()));
    const char* raw = archive_entry_pathname(entry);
    std::string path = raw != nullptr ? raw : "";
    if (path.rfind("./", 0) == 0) path.erase(0, 2);
    if (archive_entry_filetype(entry) != AE_IFREG) continue;
    for (auto& member : *members) {
      if (member.found || std::find(member.paths.begin(), member.paths.end(), path) == member.paths.end())
        continue;
      if (auto s = copy_member(inner.get(), member.target); !s) return s;
      member.found = true;
      break;
    }
  }
  return {};
}

}  // namespace

Status extract_deb_members(const std::string& deb, std::vector<DebMember>* members) {
  Reader outer(archive_read_new());
  archive_read_support_format_ar(outer.get());
  if (archive_read_open_filename(outer.get(), deb.c_str(), 1 << 16) != ARCHIVE_OK) {
    return Error::invalid(deb + ": not a Debian package: " + said(outer.get()));
  }
  archive_entry* entry = nullptr;
  for (;;) {
    int rc = archive_read_next_header(outer.get(), &entry);
    if (rc == ARCHIVE_EOF) return Error::invalid(deb + ": not a Debian package: no data.tar in it");
    if (rc < ARCHIVE_WARN) return Error::invalid(deb + ": not a Debian package: " + said(outer.get()));
    const char* name = archive_entry_pathname(entry);
    if (name == nullptr || std::string(name).rfind("data.tar", 0) != 0) continue;
    auto s = extract_data(outer.get(), members);
    if (!s) return std::move(s).error().within(deb);
    return s;
  }
}

}  // namespace ktstr
