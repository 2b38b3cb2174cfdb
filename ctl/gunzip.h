// ctl/gunzip.h — unpacks gzip piece by piece, in bounded memory: one member behind the other, as gzip
// itself does, and the zeros that a tape leaves after the last.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "core/result.h"

namespace outboxd {

class Gunzip {
 public:
  Gunzip();
  ~Gunzip();

  // All that was given is unpacked.
  bool WantsBytes() const;
  void Give(std::string packed);  // requires WantsBytes()
  // Appends at most 256 KiB to `to`. kIo says what is wrong with the packed bytes; nothing is appended then,
  // nor ever again.
  Result<void> Unpack(std::string& to);

  // What was given ends with a member's end.
  bool IsWhole() const;
  std::uint64_t packed_bytes() const { return packed_bytes_; }  // unpacked so far

 private:
  struct Stream;

  std::unique_ptr<Stream> stream_;
  std::string packed_;
  std::uint64_t packed_bytes_ = 0;
  bool is_between_members_ = true;
  bool has_more_ = false;  // unpacked already, for which there was no room
};

}  // namespace outboxd
