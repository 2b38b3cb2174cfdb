#include "ctl/import_input.h"

#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string>
#include <utility>

#include "core/result.h"
#include "core/time.h"
#include "ctl/byte_source.h"
#include "ctl/gunzip.h"
#include "ctl/import_head.h"

namespace outboxd {

Failure ImportInput::Broken(const std::string& what) const {
  return Fail(ErrorKind::kIo, (file_ == "-" ? "standard input" : file_) + ": the gzip data " + what +
                                  " after its byte " + std::to_string(*packed_bytes()));
}

std::optional<std::uint64_t> ImportInput::packed_bytes() const {
  return gunzip_ ? std::optional(gunzip_->packed_bytes()) : std::nullopt;
}

Result<BytesStatus> ImportInput::Piece(std::string& to, std::optional<Milliseconds> wait) {
  if (!gunzip_) return bytes_.Read(to, wait);
  if (gunzip_->WantsBytes()) {
    std::string packed;
    ASSIGN_OR_RETURN(const BytesStatus status, bytes_.Read(packed, wait));
    if (status == BytesStatus::kEnd && !gunzip_->IsWhole()) return Broken("ends too early,");
    if (status != BytesStatus::kSome) return status;
    gunzip_->Give(std::move(packed));
  }
  const Result<void> unpacked = gunzip_->Unpack(to);
  if (!unpacked) return Broken("is damaged (" + unpacked.error().message + ")");
  return BytesStatus::kSome;
}

bool ImportInput::IsExamined() {
  if (!is_form_known_ && (head_.size() >= 2 || ended_)) {
    is_form_known_ = true;
    if (IsGzip(head_)) gunzip_.emplace().Give(std::exchange(head_, {}));
  }
  return ended_ || (is_form_known_ && SufficesAsHead(head_));
}

Result<bool> ImportInput::Examine(Milliseconds wait) {
  while (!IsExamined()) {
    ASSIGN_OR_RETURN(const BytesStatus status, Piece(head_, wait));
    if (status == BytesStatus::kNothingYet) return false;
    ended_ = status == BytesStatus::kEnd;
  }
  const std::string why = WhyNotLines(head_, file_, gunzip_ ? Packing::kGzip : Packing::kNone);
  if (!why.empty()) return Fail(ErrorKind::kInvalid, why);
  return true;
}

Result<void> ImportInput::BeginAt(std::uint64_t offset) {
  if (gunzip_) {
    skip_ = offset;
    return {};
  }
  head_.clear();
  ended_ = false;
  if (::lseek(fd_, static_cast<off_t>(offset), SEEK_SET) < 0)
    return Fail(ErrorKind::kIo, std::string("cannot seek: ") + std::strerror(errno));
  return {};
}

// A piece of which all is passed over counts as nothing, so that the reader can look for an interrupt.
Result<BytesStatus> ImportInput::Read(std::string& buffer, std::optional<Milliseconds> wait) {
  if (skip_ == 0 && head_.empty() && !ended_) return Piece(buffer, wait);
  std::string piece = std::exchange(head_, {});
  if (piece.empty() && ended_) return BytesStatus::kEnd;
  if (piece.empty()) {
    ASSIGN_OR_RETURN(const BytesStatus status, Piece(piece, wait));
    if (status != BytesStatus::kSome) return status;
  }
  const std::size_t passed_over = static_cast<std::size_t>(std::min<std::uint64_t>(skip_, piece.size()));
  skip_ -= passed_over;
  buffer.append(piece, passed_over);
  return passed_over < piece.size() ? BytesStatus::kSome : BytesStatus::kNothingYet;
}

}  // namespace outboxd
