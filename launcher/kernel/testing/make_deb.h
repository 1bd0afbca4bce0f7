// Packages made on the spot, for the tests of the fetch.
#pragma once

#include <archive.h>
#include <archive_entry.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace ktstr {

using Files = std::vector<std::pair<std::string, std::vector<uint8_t>>>;

inline void write_archive(archive* out, const std::string& path, const Files& files) {
  archive_write_open_filename(out, path.c_str());
  for (const auto& [name, bytes] : files) {
    archive_entry* entry = archive_entry_new();
    archive_entry_set_pathname(entry, name.c_str());
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_size(entry, static_cast<la_int64_t>(bytes.size()));
    archive_write_header(out, entry);
    archive_write_data(out, bytes.data(), bytes.size());
    archive_entry_free(entry);
  }
  archive_write_close(out);
  archive_write_free(out);
}

inline void write_deb(const std::string& path, const Files& files) {
  archive* tar = archive_write_new();
  archive_write_set_format_ustar(tar);
  archive_write_add_filter_xz(tar);
  write_archive(tar, path + ".tar", files);
  std::vector<uint8_t> data(std::filesystem::file_size(path + ".tar"));
  FILE* in = fopen((path + ".tar").c_str(), "rb");
  ASSERT_EQ(fread(data.data(), 1, data.size(), in), data.size());
  fclose(in);
  std::filesystem::remove(path + ".tar");
  archive* ar = archive_write_new();
  archive_write_set_format_ar_svr4(ar);
  write_archive(ar, path, {{"debian-binary", {'2', '.', '0', '\n'}}, {"data.tar.xz", data}});
}

}  // namespace ktstr
