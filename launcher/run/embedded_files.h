// The files that a run needs, in its log (`run --embed`) and out of it again (`repro`).
//
// embed_files() publishes scheduler, payloads and `files` with their libraries, and the spec, each in pieces of at most 1 MiB
// (FileEmbedded). FileExtractor writes them into a store by content hash, private to the user, and checks each hash.
// Paths of the log are used in the guest only.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"

namespace ktstr {

struct FileEmbedded;
struct FileEmbeddedT;
struct TestSpecT;

// Publishes every file of the test. Errors: unreadable, larger than the limit, `publish` wants no more.
Status embed_files(const TestSpecT& spec, const std::function<bool(FileEmbeddedT)>& publish);
// Fills in the hash of the scheduler, of the payloads and of `files`, where it is not known yet. What cannot be read stays without.
void hash_programs(TestSpecT& spec);

struct ExtractedFile {
  std::string role, path, guest_path, sha256;
  uint32_t mode = 0;
  std::string host_path;  // in the store
};

// Puts pieces together; for the events of one log, in order.
class FileExtractor {
 public:
  // `store`: a folder, made if it is not there.
  explicit FileExtractor(std::string store) : store_(std::move(store)) {}
  // Errors: a piece that does not follow, a guest path that leaves its place, a hash that does not fit, too much.
  Status add(const FileEmbedded& piece);
  // Errors: the last file is not whole.
  Result<std::vector<ExtractedFile>> finish();

 private:
  Status begin(const FileEmbedded& piece);
  Status end();

  std::string store_;
  std::vector<ExtractedFile> files_;
  ExtractedFile current_;
  std::string data_;
  uint64_t size_ = 0, total_ = 0;
  bool open_ = false;
};

}  // namespace ktstr
