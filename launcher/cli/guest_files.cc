#include "launcher/cli/guest_files.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>

#include "base/small_files.h"
#include "schemas/envelope.h"
#include "schemas/guest_generated.h"

namespace ktstr {

Result<FetchWish> parse_fetch(const std::string& text) {
  FetchWish wish;
  const size_t equals = text.find('=');
  wish.guest_path = text.substr(0, equals);
  wish.local_path =
      equals == std::string::npos ? std::filesystem::path(text).filename().string() : text.substr(equals + 1);
  if (!wish.guest_path.starts_with("/") || wish.local_path.empty())
    return Error::invalid("--fetch " + text +
                          ": an absolute path of the guest is wanted: /tmp/perf.data, or "
                          "/tmp/perf.data=LOCAL");
  return wish;
}

FetchedFiles::FetchedFiles(std::vector<FetchWish> wishes) {
  for (FetchWish& wish : wishes) files_[wish.guest_path].local = std::move(wish.local_path);
}

Status FetchedFiles::take(const GuestFileSent& piece) {
  const auto found = files_.find(std::string(str(piece.path())));
  if (found == files_.end() || found->second.over) return {};  // nobody asked for it
  auto& [path, file] = *found;
  const std::string part = file.local + ".part";
  auto give_up = [&](Error error) -> Status {
    file.over = true;
    if (file.fd) ::unlink(part.c_str());
    file.fd.reset();
    return error;
  };
  if (piece.error()) return give_up(Error::system("the guest: " + std::string(str(piece.error()))));
  if (piece.offset() != file.offset) return give_up(Error::invalid("a piece of " + path + " is missing"));
  if (!file.fd) {
    file.fd = UniqueFd(::open(part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!file.fd) return give_up(Error::from_errno(part));
  }
  if (piece.data())
    if (auto s = write_all(file.fd.get(),
                           {reinterpret_cast<const char*>(piece.data()->data()), piece.data()->size()}, part);
        !s)
      return give_up(std::move(s).error());
  file.offset += piece.data() ? piece.data()->size() : 0;
  if (file.offset < piece.size()) return {};
  if (::rename(part.c_str(), file.local.c_str()) != 0) return give_up(Error::from_errno(file.local));
  file.over = true;
  file.fd.reset();
  done_.push_back(path + ": " + std::to_string(file.offset) + " bytes in " + file.local);
  return {};
}

std::vector<std::string> FetchedFiles::missing() const {
  std::vector<std::string> out;
  for (const auto& [path, file] : files_)
    if (!file.over) out.push_back(path);
  return out;
}

std::string lacked_file(std::string_view line) {
  constexpr std::string_view kLoader = "error while loading shared libraries: ";
  if (const size_t at = line.find(kLoader); at != std::string_view::npos) {
    const std::string_view rest = line.substr(at + kLoader.size());
    return std::string(rest.substr(0, rest.find(':')));
  }
  if (line.find("No such file or directory") == std::string_view::npos &&
      line.find("cannot open shared object file") == std::string_view::npos &&
      line.find("not found") == std::string_view::npos)
    return {};
  // The last path in it, or library: the program's own name stands before.
  constexpr std::string_view kEdges = " \t'\"`():,;<>[]";
  std::string last;
  for (size_t at = 0; at < line.size();) {
    const size_t begin = line.find_first_not_of(kEdges, at);
    if (begin == std::string_view::npos) break;
    const size_t end = std::min(line.find_first_of(kEdges, begin), line.size());
    const std::string_view word = line.substr(begin, end - begin);
    if (word.size() > 1 && (word[0] == '/' || word.find(".so") != std::string_view::npos)) last = word;
    at = end;
  }
  return last;
}

}  // namespace ktstr
