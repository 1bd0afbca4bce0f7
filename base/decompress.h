// Decompression of a kernel's payload: zstd, xz and gzip streams inside a larger buffer.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"

namespace ktstr {

enum class StreamKind { kNone, kZstd, kXz, kGzip };

// By magic number at the start of `bytes`.
StreamKind stream_kind(std::span<const uint8_t> bytes);
const char* stream_kind_name(StreamKind kind);

// Decompresses the first frame of `bytes`; what follows it is ignored. Stops early with kInvalid as soon as the
// output proves not to start with `prefix`. Errors: kInvalid (damaged, truncated), kExhausted (over `limit` bytes).
Result<std::vector<uint8_t>> decompress_stream(std::span<const uint8_t> bytes,
                                               std::span<const uint8_t> prefix, size_t limit);

// Decompresses piece by piece, also several streams behind each other, as `cat a.gz b.gz` makes them.
class StreamDecoder {
 public:
  // `bytes` must stay. Errors: kInvalid (no such stream begins here).
  static Result<StreamDecoder> open(std::span<const uint8_t> bytes);
  ~StreamDecoder();
  StreamDecoder(StreamDecoder&&) noexcept;
  StreamDecoder& operator=(StreamDecoder&&) noexcept;

  // The next bytes, at most `size`; 0: the end. Errors: kInvalid (damaged, truncated).
  Result<size_t> read(uint8_t* out, size_t size);

 private:
  struct State;
  explicit StreamDecoder(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace ktstr
