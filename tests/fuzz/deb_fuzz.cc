// Packages: members of a .deb, without dpkg. Nothing but the wanted member is written, and nowhere else.
#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/unique_fd.h"
#include "launcher/kernel/deb_package.h"
#include "tests/fuzz/fuzz_kit.h"

namespace ktstr::fuzz {
namespace {

constexpr char kWanted[] = "boot/vmlinuz-1";

Input archive_of(const std::vector<std::pair<std::string, Input>>& files, int (*format)(struct archive*),
                 int (*filter)(struct archive*)) {
  Input out(256u << 10);
  size_t used = 0;
  struct archive* a = archive_write_new();
  format(a);
  if (filter) filter(a);
  archive_write_open_memory(a, out.data(), out.size(), &used);
  struct archive_entry* entry = archive_entry_new();
  for (const auto& [name, bytes] : files) {
    archive_entry_clear(entry);
    archive_entry_set_pathname(entry, name.c_str());
    archive_entry_set_size(entry, static_cast<la_int64_t>(bytes.size()));
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_write_header(a, entry);
    archive_write_data(a, bytes.data(), bytes.size());
  }
  archive_entry_free(entry);
  archive_write_close(a);
  archive_write_free(a);
  out.resize(used);
  return out;
}

size_t files_in(const std::string& folder) {
  size_t count = 0;
  DIR* dir = ::opendir(folder.c_str());
  must(dir != nullptr, "the folder went away");
  while (const dirent* entry = ::readdir(dir)) count += entry->d_name[0] != '.';
  ::closedir(dir);
  return count;
}

// Empty after each input, removed at the end.
struct ScratchFolder {
  ScratchFolder() { must(::mkdtemp(path) != nullptr, "no scratch folder"); }
  ~ScratchFolder() { ::rmdir(path); }
  char path[32] = "/tmp/ktstr-fuzz-deb-XXXXXX";
};

}  // namespace

std::vector<Input> seeds() {
  std::vector<Input> out;
  for (auto filter : {archive_write_add_filter_xz, archive_write_add_filter_zstd,
                      archive_write_add_filter_gzip, archive_write_add_filter_none}) {
    const Input data = archive_of({{"./boot/vmlinuz-1", Input(3000, 7)}, {"./../evil", Input(10, 1)}},
                                  archive_write_set_format_ustar, filter);
    out.push_back(archive_of(
        {{"debian-binary", input_of("2.0\n")}, {"control.tar.xz", Input(100, 1)}, {"data.tar.xz", data}},
        archive_write_set_format_ar_svr4, nullptr));
  }
  return out;
}

}  // namespace ktstr::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace ktstr;
  using namespace ktstr::fuzz;
  static const ScratchFolder scratch;
  const std::string folder = scratch.path;
  UniqueFd file(::memfd_create("deb", MFD_CLOEXEC));
  must(file.valid() && ::write(file.get(), data, size) == static_cast<ssize_t>(size), "no memory file");
  std::vector<DebMember> members{{{kWanted}, folder + "/out"}};
  const Status status = extract_deb_members("/proc/self/fd/" + std::to_string(file.get()), &members);
  const size_t written = files_in(folder);
  must(written <= 1 && (written == 0 || members[0].found || !status.ok()), "something else was written");
  ::unlink((folder + "/out").c_str());
  return 0;
}
