// core/multipart.h — form fields and files as the bytes of one multipart/form-data body (RFC 7578). Pure.
#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/job.h"
#include "core/ulid.h"

namespace outboxd {

struct MultipartBody {
  std::string boundary;  // occurs in no name, file name, value or content
  std::string bytes;
};

using FormFields = std::vector<std::pair<std::string, std::string>>;

// The boundary follows from all that the body holds and from `job`: nobody who writes a field knows it, and
// each attempt sends the same bytes.
MultipartBody BuildMultipart(const FormFields& fields, std::span<const RawFile> files, const Ulid& job);

}  // namespace outboxd
