// ctl/file_stream.h — an output stream into a file that is open already.
#pragma once

#include <ext/stdio_filebuf.h>
#include <ios>
#include <ostream>

#include "config/owned_fd.h"

namespace outboxd {

class FileStream : public std::ostream {
 public:
  explicit FileStream(OwnedFd file)
      : std::ostream(nullptr), buffer_(file.Release(), std::ios::out | std::ios::binary) {
    rdbuf(&buffer_);
  }

 private:
  __gnu_cxx::stdio_filebuf<char> buffer_;
};

}  // namespace outboxd
