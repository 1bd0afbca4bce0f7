// A folder for one test, removed with all that is in it.
#pragma once

#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace ktstr {

class TempDirForTest {
 public:
  TempDirForTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "ktstr-test-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) std::abort();
    path_ = pattern;
  }
  ~TempDirForTest() {
    std::error_code ec;
    std::filesystem::remove_all(path_, ec);
  }
  TempDirForTest(const TempDirForTest&) = delete;
  TempDirForTest& operator=(const TempDirForTest&) = delete;

  std::string operator/(std::string_view name) const { return (path_ / name).string(); }

  // Writes a file, making its folders; returns its path.
  std::string write(std::string_view name, std::string_view text, bool executable = false) const {
    std::filesystem::path file = path_ / name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary) << text;
    ::chmod(file.c_str(), executable ? 0755 : 0644);
    return file.string();
  }

 private:
  std::filesystem::path path_;
};

}  // namespace ktstr
