#include "ctl/gunzip.h"

#include <zlib.h>

#include <cstddef>
#include <memory>
#include <new>
#include <string>
#include <utility>

#include "core/check.h"
#include "core/result.h"

namespace outboxd {
namespace {

constexpr std::size_t kPieceBytes = 262144;
constexpr int kGzipOnly = 16 + MAX_WBITS;

}  // namespace

struct Gunzip::Stream : z_stream {
  Stream() : z_stream() {
    if (::inflateInit2(this, kGzipOnly) != Z_OK) throw std::bad_alloc();
  }
  ~Stream() { ::inflateEnd(this); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
};

Gunzip::Gunzip() : stream_(std::make_unique<Stream>()) {}
Gunzip::~Gunzip() = default;

bool Gunzip::WantsBytes() const {
  return stream_->avail_in == 0 && !has_more_;
}

void Gunzip::Give(std::string packed) {
  CHECK(WantsBytes());
  packed_ = std::move(packed);
  stream_->next_in = reinterpret_cast<Bytef*>(packed_.data());
  stream_->avail_in = static_cast<uInt>(packed_.size());
}

Result<void> Gunzip::Unpack(std::string& to) {
  const std::size_t before = to.size();
  const uInt given = stream_->avail_in;
  to.resize(before + kPieceBytes);
  stream_->next_out = reinterpret_cast<Bytef*>(to.data() + before);
  stream_->avail_out = static_cast<uInt>(kPieceBytes);
  int code = Z_OK;
  while (code == Z_OK && stream_->avail_out > 0 && (stream_->avail_in > 0 || has_more_)) {
    if (is_between_members_) {
      for (; stream_->avail_in > 0 && *stream_->next_in == 0; --stream_->avail_in) ++stream_->next_in;
      if (stream_->avail_in == 0) break;
      ::inflateReset(stream_.get());
    }
    code = ::inflate(stream_.get(), Z_NO_FLUSH);
    is_between_members_ = code == Z_STREAM_END;
    has_more_ = !is_between_members_ && stream_->avail_out == 0;
    if (code == Z_STREAM_END || code == Z_BUF_ERROR) code = Z_OK;
  }
  const bool is_good = code == Z_OK;
  to.resize(is_good ? before + kPieceBytes - stream_->avail_out : before);
  if (!is_good) return Fail(ErrorKind::kIo, stream_->msg != nullptr ? stream_->msg : ::zError(code));
  packed_bytes_ += given - stream_->avail_in;
  return {};
}

bool Gunzip::IsWhole() const {
  return is_between_members_ && WantsBytes();
}

}  // namespace outboxd
