#include "launcher/run/embedded_files.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "base/sha256.h"
#include "base/small_files.h"
#include "base/text.h"
#include "launcher/vm/program_files.h"
#include "schemas/envelope.h"
#include "schemas/guest_paths.h"
#include "schemas/run_generated.h"
#include "schemas/spec_generated.h"

namespace ktstr {
namespace {

namespace fs = std::filesystem;

constexpr size_t kPiece = 1u << 20;
constexpr uint64_t kMaxFile = 1u << 30;
constexpr uint64_t kMaxTotal = uint64_t{4} << 30;
constexpr size_t kMaxFiles = 4096;

std::span<const uint8_t> bytes_of(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

std::string hash_of(const std::string& text) {
  Sha256 hash;
  hash.add(bytes_of(text));
  return hash.hex();
}

Status embed_one(const char* role, const std::string& path, const std::string& guest_path,
                 const std::function<bool(FileEmbeddedT)>& publish) {
  auto text = read_binary(path, kMaxFile);
  if (!text) return std::move(text).error();
  struct stat st{};
  ::stat(path.c_str(), &st);
  FileEmbeddedT piece;
  piece.role = role;
  piece.path = path;
  piece.guest_path = guest_path;
  piece.sha256 = hash_of(*text);
  piece.size = text->size();
  piece.mode = st.st_mode & 0777;
  do {
    auto bytes = bytes_of(*text).subspan(piece.offset, std::min(kPiece, text->size() - piece.offset));
    piece.data.assign(bytes.begin(), bytes.end());
    if (!publish(piece)) return Error::system("stopped");
    piece.offset += bytes.size();
  } while (piece.offset < text->size());
  return {};
}

bool good_hash(std::string_view hash) {
  return hash.size() == 64 && std::all_of(hash.begin(), hash.end(), [](char c) {
           return std::string_view("0123456789abcdef").find(c) != std::string_view::npos;
         });
}

// An absolute path without "..", and none of our own files.
bool good_guest_path(std::string_view path) {
  if (path.empty() || path[0] != '/' || path.size() > 1024 || path == "/init" || path == kGuestProbe ||
      path == kGuestPlan)
    return false;
  for (const auto& part : fs::path(path))
    if (part == "..") return false;
  return path.find('\0') == std::string_view::npos;
}

}  // namespace

Status embed_files(const TestSpecT& spec, const std::function<bool(FileEmbeddedT)>& publish) {
  std::set<std::string> done;  // guest paths: libraries are shared
  auto program = [&](const char* role, const std::string& host_path,
                     const std::string& guest_path) -> Status {
    auto files = collect_program_files(host_path, guest_path);
    if (!files) return std::move(files).error();
    for (size_t i = 0; i < files->size(); ++i) {
      const ProgramFile& file = (*files)[i];
      if (!done.insert(file.guest_path).second) continue;
      if (auto s = embed_one(i == 0 ? role : "library", file.host_path, file.guest_path, publish); !s)
        return s;
    }
    return {};
  };
  // A test body's file is its C++ source, which the binary needs no more.
  if (!spec.file.empty() && spec.body.empty())
    if (auto s = embed_one("spec", spec.file, "", publish); !s)
      return std::move(s).error().within("embed the spec");
  if (spec.scheduler)
    if (auto s = program("scheduler", spec.scheduler->host_path, spec.scheduler->guest_path); !s)
      return std::move(s).error().within("embed the scheduler");
  for (const auto& payload : spec.payloads)
    if (auto s = program("payload", payload->host_path, payload->guest_path); !s)
      return std::move(s).error().within("embed the payload " + payload->name);
  for (const auto& file : spec.files) {
    auto parts = collect_test_file(file->host_path, file->guest_path);
    if (!parts) return std::move(parts).error().within("embed the files");
    for (const ProgramFile& part : *parts) {
      if (!done.insert(part.guest_path).second) continue;
      const char* role = part.guest_path == file->guest_path ? "file" : "library";
      if (auto s = embed_one(role, part.host_path, part.guest_path, publish); !s)
        return std::move(s).error().within("embed the file " + file->name);
    }
  }
  return {};
}

void hash_programs(TestSpecT& spec) {
  auto fill = [](std::string& sha256, const std::string& path) {
    if (!sha256.empty() || path.empty()) return;
    if (auto hash = sha256_file(path)) sha256 = *hash;
  };
  if (spec.scheduler) fill(spec.scheduler->sha256, spec.scheduler->host_path);
  for (auto& payload : spec.payloads) fill(payload->sha256, payload->host_path);
  for (auto& file : spec.files) fill(file->sha256, file->host_path);
}

Status FileExtractor::add(const FileEmbedded& piece) {
  if (piece.offset() == 0) {
    if (auto s = begin(piece); !s) return s;
  }
  size_t count = piece.data() ? piece.data()->size() : 0;
  if (!open_ || str(piece.path()) != current_.path || piece.offset() != data_.size() ||
      count > size_ - data_.size())
    return Error::invalid("a piece of the embedded file " + printable(str(piece.path())) +
                          " does not follow the one before it");
  if (count > 0) data_.append(reinterpret_cast<const char*>(piece.data()->data()), count);
  return data_.size() == size_ ? end() : Status();
}

Status FileExtractor::begin(const FileEmbedded& piece) {
  std::string name = printable(str(piece.path()));
  if (open_) return Error::invalid("the embedded file " + printable(current_.path) + " is not whole");
  bool guest_file = str(piece.role()) != "spec";
  if (!good_hash(str(piece.sha256())) || (guest_file && !good_guest_path(str(piece.guest_path()))))
    return Error::invalid("the embedded file " + name + " has no proper hash or place");
  total_ += piece.size();
  if (piece.size() > kMaxFile || total_ > kMaxTotal || files_.size() >= kMaxFiles)
    return Error::exhausted("the log embeds more than this ktstr takes");
  current_ = {std::string(str(piece.role())),
              std::string(str(piece.path())),
              std::string(str(piece.guest_path())),
              std::string(str(piece.sha256())),
              piece.mode() & 0777,
              store_ + "/" + std::string(str(piece.sha256()))};
  size_ = piece.size();
  data_.clear();
  open_ = true;
  return {};
}

Status FileExtractor::end() {
  open_ = false;
  if (std::string hash = hash_of(data_); hash != current_.sha256)
    return Error::invalid("the embedded file " + printable(current_.path) + " has the hash " + hash +
                          ", the log says " + current_.sha256);
  std::error_code error;
  fs::create_directories(store_, error);
  ::chmod(store_.c_str(), 0700);
  // A file that exists already is used only if its content has the hash.
  auto there = sha256_file(current_.host_path);
  if (!there || *there != current_.sha256) {
    if (auto s = write_file_atomically(current_.host_path, data_, {.mode = 0700, .sync = false}); !s)
      return s;
  }
  ::chmod(current_.host_path.c_str(), 0700);
  files_.push_back(current_);
  data_.clear();
  return {};
}

Result<std::vector<ExtractedFile>> FileExtractor::finish() {
  if (open_) return Error::invalid("the embedded file " + printable(current_.path) + " is not whole");
  return std::move(files_);
}

}  // namespace ktstr
