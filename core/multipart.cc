#include "core/multipart.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "core/ascii.h"
#include "core/job.h"
#include "core/ulid.h"

namespace outboxd {
namespace {

struct FileType {
  std::string_view suffix;
  std::string_view type;
};
// Other files leave without a type, which makes them plain text (RFC 7578 section 4.4).
constexpr std::array kFileTypes = {
    FileType{".gif", "image/gif"},       FileType{".jpg", "image/jpeg"},
    FileType{".jpeg", "image/jpeg"},     FileType{".png", "image/png"},
    FileType{".svg", "image/svg+xml"},   FileType{".txt", "text/plain"},
    FileType{".htm", "text/html"},       FileType{".html", "text/html"},
    FileType{".pdf", "application/pdf"}, FileType{".xml", "application/xml"},
};

std::string_view TypeOfFile(std::string_view name) {
  for (const FileType& known : kFileTypes) {
    if (name.size() >= known.suffix.size() &&
        EqualsIgnoringCase(name.substr(name.size() - known.suffix.size()), known.suffix))
      return known.type;
  }
  return {};
}

struct BodyPart {
  std::string_view name, filename, content;
  bool is_file = false;
};

template <typename Visit>
void ForEachPart(const FormFields& fields, std::span<const RawFile> files, Visit visit) {
  for (const auto& [name, value] : fields) visit(BodyPart{name, {}, value});
  for (const RawFile& file : files)
    visit(BodyPart{file.name, file.filename.empty() ? file.name : file.filename, file.content, true});
}

// As browsers write it: what would end the quoted text or the line is percent-encoded.
void AppendDispositionText(std::string& out, std::string_view text) {
  out += '"';
  for (const char byte : text) {
    if (byte == '"') {
      out += "%22";
    } else if (byte == '\r') {
      out += "%0D";
    } else if (byte == '\n') {
      out += "%0A";
    } else {
      out += byte;
    }
  }
  out += '"';
}

void AppendPart(std::string& out, const BodyPart& part, std::string_view boundary) {
  out.append("--").append(boundary).append("\r\nContent-Disposition: form-data; name=");
  AppendDispositionText(out, part.name);
  if (part.is_file) {
    out += "; filename=";
    AppendDispositionText(out, part.filename);
    if (const std::string_view type = TypeOfFile(part.filename); !type.empty())
      out.append("\r\nContent-Type: ").append(type);
  }
  out.append("\r\n\r\n").append(part.content).append("\r\n");
}

std::size_t QuotedBytes(std::string_view text) {
  const auto is_escaped = [](char byte) { return byte == '"' || byte == '\r' || byte == '\n'; };
  return text.size() + 2 * static_cast<std::size_t>(std::count_if(text.begin(), text.end(), is_escaped));
}

constexpr std::size_t kPartFrameBytes =
    128;  // no less than what a part has around its texts and the boundary

std::uint64_t Remixed(std::uint64_t hash) {
  hash ^= hash >> 32;
  hash *= 0xd6e8feb86659fd93;
  hash ^= hash >> 32;
  return hash;
}

std::string BoundaryOf(std::uint64_t hash, const Ulid& job) {
  std::string boundary = "outboxd-" + job.ToText() + "-";
  for (int shift = 60; shift >= 0; shift -= 4) boundary += kLowerHexDigits[hash >> shift & 15];
  return boundary;
}

std::string FreeBoundary(const FormFields& fields, std::span<const RawFile> files, const Ulid& job) {
  std::uint64_t hash = 0;
  const auto add = [&hash](std::string_view text) {
    hash = Remixed(hash ^ std::hash<std::string_view>()(text));
  };
  ForEachPart(fields, files, [&](const BodyPart& part) {
    add(part.name);
    add(part.filename);
    add(part.content);
  });
  for (;;) {
    const std::string boundary = BoundaryOf(hash, job);
    bool occurs = false;
    ForEachPart(fields, files, [&](const BodyPart& part) {
      for (const std::string_view text : {part.name, part.filename, part.content})
        occurs = occurs || text.find(boundary) != std::string_view::npos;
    });
    if (!occurs) return boundary;
    hash = Remixed(hash + 1);
  }
}

}  // namespace

MultipartBody BuildMultipart(const FormFields& fields, std::span<const RawFile> files, const Ulid& job) {
  MultipartBody body;
  body.boundary = FreeBoundary(fields, files, job);
  std::size_t bytes = body.boundary.size() + 8;
  ForEachPart(fields, files, [&](const BodyPart& part) {
    bytes += kPartFrameBytes + body.boundary.size() + QuotedBytes(part.name) + QuotedBytes(part.filename) +
             part.content.size();
  });
  body.bytes.reserve(bytes);
  ForEachPart(fields, files, [&](const BodyPart& part) { AppendPart(body.bytes, part, body.boundary); });
  body.bytes.append("--").append(body.boundary).append("--\r\n");
  return body;
}

}  // namespace outboxd
