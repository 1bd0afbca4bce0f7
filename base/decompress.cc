// By the codecs' own libraries, not by libarchive's raw format (tried with 3.6.2): the kernel's stream is followed by other
// bytes, and its end is known to its decoder alone. libarchive's zstd and xz filters read on after the frame, fail on what
// follows ("Unknown frame descriptor", "Corrupted input data") and drop the output that they had not handed out yet. Its
// zstd window is 2^27 at most; a kernel may be packed with a larger one. Test: kernel_image_test.cc (Decompress).
#include "base/decompress.h"

#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>

namespace ktstr {
namespace codec {

// One step of a decoder: fills `out`, says how much it wrote and whether the stream has ended.
struct Step {
  size_t written = 0;
  bool ended = false;
  bool stuck = false;  // no input left and no end: truncated
};

class Decoder {
 public:
  virtual ~Decoder() = default;
  virtual Result<Step> step(uint8_t* out, size_t size) = 0;
  virtual size_t unread() const = 0;  // bytes of the input
};

}  // namespace codec

namespace {

using codec::Decoder;
using codec::Step;

constexpr size_t kChunk = 4u << 20;

class ZstdDecoder : public Decoder {
 public:
  explicit ZstdDecoder(std::span<const uint8_t> in) : in_{in.data(), in.size(), 0} {
    ZSTD_DCtx_setParameter(context_.get(), ZSTD_d_windowLogMax, 30);
  }
  Result<Step> step(uint8_t* out, size_t size) override {
    ZSTD_outBuffer buffer{out, size, 0};
    size_t before = in_.pos;
    size_t rc = ZSTD_decompressStream(context_.get(), &buffer, &in_);
    if (ZSTD_isError(rc)) return Error::invalid(std::string("zstd: ") + ZSTD_getErrorName(rc));
    return Step{buffer.pos, rc == 0, rc != 0 && buffer.pos == 0 && in_.pos == before};
  }
  size_t unread() const override { return in_.size - in_.pos; }

 private:
  struct Free {
    void operator()(ZSTD_DCtx* c) const { ZSTD_freeDCtx(c); }
  };
  std::unique_ptr<ZSTD_DCtx, Free> context_{ZSTD_createDCtx()};
  ZSTD_inBuffer in_;
};

class XzDecoder : public Decoder {
 public:
  explicit XzDecoder(std::span<const uint8_t> in) {
    ok_ = lzma_stream_decoder(&stream_, 1ull << 30, 0) == LZMA_OK;
    stream_.next_in = in.data();
    stream_.avail_in = in.size();
  }
  ~XzDecoder() override { lzma_end(&stream_); }
  Result<Step> step(uint8_t* out, size_t size) override {
    if (!ok_) return Error::invalid("xz: cannot start a decoder");
    stream_.next_out = out;
    stream_.avail_out = size;
    lzma_ret rc = lzma_code(&stream_, LZMA_RUN);
    size_t written = size - stream_.avail_out;
    if (rc == LZMA_BUF_ERROR) return Step{written, false, written == 0};
    if (rc != LZMA_OK && rc != LZMA_STREAM_END)
      return Error::invalid("xz: damaged data (code " + std::to_string(rc) + ")");
    return Step{written, rc == LZMA_STREAM_END, rc == LZMA_OK && written == 0 && stream_.avail_in == 0};
  }
  size_t unread() const override { return stream_.avail_in; }

 private:
  lzma_stream stream_ = LZMA_STREAM_INIT;
  bool ok_ = false;
};

class GzipDecoder : public Decoder {
 public:
  explicit GzipDecoder(std::span<const uint8_t> in) {
    std::memset(&stream_, 0, sizeof(stream_));
    ok_ = inflateInit2(&stream_, 15 + 16) == Z_OK;
    stream_.next_in = const_cast<Bytef*>(in.data());
    stream_.avail_in = static_cast<uInt>(std::min<size_t>(in.size(), UINT32_MAX));
  }
  ~GzipDecoder() override {
    if (ok_) inflateEnd(&stream_);
  }
  Result<Step> step(uint8_t* out, size_t size) override {
    if (!ok_) return Error::invalid("gzip: cannot start a decoder");
    stream_.next_out = out;
    stream_.avail_out = static_cast<uInt>(size);
    int rc = inflate(&stream_, Z_NO_FLUSH);
    size_t written = size - stream_.avail_out;
    if (rc == Z_BUF_ERROR) return Step{written, false, written == 0};
    if (rc != Z_OK && rc != Z_STREAM_END) {
      return Error::invalid(std::string("gzip: ") + (stream_.msg != nullptr ? stream_.msg : "damaged data"));
    }
    return Step{written, rc == Z_STREAM_END, rc == Z_OK && written == 0 && stream_.avail_in == 0};
  }
  size_t unread() const override { return stream_.avail_in; }

 private:
  z_stream stream_;
  bool ok_ = false;
};

bool starts_with(std::span<const uint8_t> bytes, std::initializer_list<uint8_t> magic) {
  return bytes.size() >= magic.size() && std::equal(magic.begin(), magic.end(), bytes.begin());
}

}  // namespace

namespace {

// Null: no stream begins here.
std::unique_ptr<Decoder> make_decoder(std::span<const uint8_t> bytes) {
  switch (stream_kind(bytes)) {
    case StreamKind::kZstd:
      return std::make_unique<ZstdDecoder>(bytes);
    case StreamKind::kXz:
      return std::make_unique<XzDecoder>(bytes);
    case StreamKind::kGzip:
      return std::make_unique<GzipDecoder>(bytes);
    case StreamKind::kNone:
      break;
  }
  return nullptr;
}

}  // namespace

struct StreamDecoder::State {
  std::span<const uint8_t> bytes;
  std::unique_ptr<Decoder> decoder;
};

StreamDecoder::StreamDecoder(std::unique_ptr<State> state) : state_(std::move(state)) {}
StreamDecoder::~StreamDecoder() = default;
StreamDecoder::StreamDecoder(StreamDecoder&&) noexcept = default;
StreamDecoder& StreamDecoder::operator=(StreamDecoder&&) noexcept = default;

Result<StreamDecoder> StreamDecoder::open(std::span<const uint8_t> bytes) {
  auto state = std::make_unique<State>();
  state->bytes = bytes;
  state->decoder = make_decoder(bytes);
  if (!state->decoder) return Error::invalid("no zstd, xz or gzip stream here");
  return StreamDecoder(std::move(state));
}

Result<size_t> StreamDecoder::read(uint8_t* out, size_t size) {
  while (state_->decoder) {
    auto step = state_->decoder->step(out, size);
    if (!step) return std::move(step).error();
    if (step->stuck) return Error::invalid("truncated data");
    if (step->ended) {
      state_->bytes = state_->bytes.last(state_->decoder->unread());
      state_->decoder = make_decoder(state_->bytes);
    }
    if (step->written > 0) return step->written;
  }
  return size_t{0};
}

StreamKind stream_kind(std::span<const uint8_t> bytes) {
  if (starts_with(bytes, {0x28, 0xb5, 0x2f, 0xfd})) return StreamKind::kZstd;
  if (starts_with(bytes, {0xfd, '7', 'z', 'X', 'Z', 0x00})) return StreamKind::kXz;
  if (starts_with(bytes, {0x1f, 0x8b, 0x08})) return StreamKind::kGzip;
  return StreamKind::kNone;
}

const char* stream_kind_name(StreamKind kind) {
  switch (kind) {
    case StreamKind::kZstd:
      return "zstd";
    case StreamKind::kXz:
      return "xz";
    case StreamKind::kGzip:
      return "gzip";
    case StreamKind::kNone:
      break;
  }
  return "none";
}

Result<std::vector<uint8_t>> decompress_stream(std::span<const uint8_t> bytes,
                                               std::span<const uint8_t> prefix, size_t limit) {
  const StreamKind kind = stream_kind(bytes);
  std::unique_ptr<Decoder> decoder = make_decoder(bytes);
  if (!decoder) return Error::invalid("no zstd, xz or gzip stream here");
  std::vector<uint8_t> out;
  size_t used = 0;
  bool prefix_checked = false;
  for (;;) {
    if (out.size() - used < kChunk) out.resize(std::max(out.size() * 3 / 2, used + 4 * kChunk));
    auto step = decoder->step(out.data() + used, kChunk);
    if (!step) return std::move(step).error();
    used += step->written;
    if (used > limit)
      return Error::exhausted("decompresses to more than " + std::to_string(limit >> 20) + " MiB");
    if (!prefix_checked && used >= prefix.size()) {
      if (!std::equal(prefix.begin(), prefix.end(), out.begin()))
        return Error::invalid("the stream holds something else");
      prefix_checked = true;
    }
    if (step->ended) break;
    if (step->stuck) return Error::invalid(std::string(stream_kind_name(kind)) + ": truncated data");
  }
  if (!prefix_checked) return Error::invalid("the stream holds something else");
  out.resize(used);
  return out;
}

}  // namespace ktstr
