// ctl/import_input.h — what an import reads: lines from a file or a pipe, unpacked where it is gzip.
//
// Errors: kInvalid = not one job a line, the message has the command that makes lines of it. kIo = it cannot
// be read, or its gzip data is damaged or ends too early: what came before was good.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "core/result.h"
#include "core/time.h"
#include "ctl/byte_source.h"
#include "ctl/gunzip.h"

namespace outboxd {

class ImportInput : public ByteSource {
 public:
  // Does not own `fd`. `file`: its name, "-" for standard input.
  ImportInput(int fd, std::string file) : file_(std::move(file)), fd_(fd), bytes_(fd) {}

  int fd() const { return fd_; }
  // First of all: what it is, by its beginning. False: that is not all there after `wait`, try again.
  Result<bool> Examine(Milliseconds wait);
  // Then, for a file: Read() begins after `offset` bytes, of the lines where they are packed.
  Result<void> BeginAt(std::uint64_t offset);
  Result<BytesStatus> Read(std::string& buffer, std::optional<Milliseconds> wait) override;

  // Of gzip, how many bytes of the input were unpacked well.
  std::optional<std::uint64_t> packed_bytes() const;

 private:
  Result<BytesStatus> Piece(std::string& to, std::optional<Milliseconds> wait);
  bool IsExamined();
  Failure Broken(const std::string& what) const;

  const std::string file_;
  const int fd_;
  DescriptorBytes bytes_;
  bool is_form_known_ = false;
  std::optional<Gunzip> gunzip_;
  std::string head_;  // read to examine it and not given to the reader yet
  std::uint64_t skip_ = 0;
  bool ended_ = false;
};

}  // namespace outboxd
