#include "tests/track_sim/http.h"

#include <array>
#include <charconv>
#include <cstring>

namespace outboxd::sim {
namespace {

constexpr std::string_view kTokenMarks = "!#$%&'*+-.^_`|~";
constexpr std::string_view kBase64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

bool IsAlphanumeric(char character) {
  return (character >= '0' && character <= '9') || (character >= 'A' && character <= 'Z') ||
         (character >= 'a' && character <= 'z');
}

char Lower(char character) {
  return character >= 'A' && character <= 'Z' ? static_cast<char>(character - 'A' + 'a') : character;
}

bool IsToken(std::string_view text) {
  for (const char character : text) {
    if (!IsAlphanumeric(character) && kTokenMarks.find(character) == std::string_view::npos) return false;
  }
  return !text.empty();
}

bool IsTarget(std::string_view text) {
  for (const char character : text) {
    if (character <= ' ' || character > '~') return false;
  }
  return text.starts_with('/');
}

std::string_view Trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

ReadOutcome Bad(int status, std::string error) {
  ReadOutcome outcome;
  outcome.state = ReadState::kBad;
  outcome.status = status;
  outcome.error = std::move(error);
  return outcome;
}

// Empty when the line is good.
std::string ReadRequestLine(std::string_view line, SimRequest& request) {
  const std::size_t first = line.find(' ');
  const std::size_t last = line.rfind(' ');
  if (first == std::string_view::npos || last <= first) return "malformed request line";
  request.method = line.substr(0, first);
  request.target = line.substr(first + 1, last - first - 1);
  const std::string_view version = line.substr(last + 1);
  if (version != "HTTP/1.1" && version != "HTTP/1.0") return "unsupported HTTP version";
  request.keep_alive = version == "HTTP/1.1";
  if (!IsToken(request.method)) return "malformed method";
  if (!IsTarget(request.target)) return "malformed request target";
  return {};
}

std::string ReadHeaders(std::string_view lines, SimRequest& request) {
  request.headers.clear();
  while (!lines.empty()) {
    const std::size_t end = lines.find("\r\n");
    const std::string_view line = lines.substr(0, end);
    lines.remove_prefix(end == std::string_view::npos ? lines.size() : end + 2);
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos || !IsToken(line.substr(0, colon))) return "malformed header line";
    const std::string_view value = Trim(line.substr(colon + 1));
    for (const char character : value) {
      if ((static_cast<unsigned char>(character) < ' ' && character != '\t') || character == '\x7f')
        return "control byte in a header";
    }
    request.headers.emplace_back(line.substr(0, colon), value);
  }
  return {};
}

std::size_t CountHeader(const SimRequest& request, std::string_view name) {
  std::size_t count = 0;
  for (const auto& header : request.headers) {
    if (EqualIgnoringCase(header.first, name)) ++count;
  }
  return count;
}

// How long the body is, or why the head is refused.
struct BodyLength {
  std::size_t bytes = 0;
  int status = 0;
  std::string error;
};

BodyLength ReadBodyLength(const SimRequest& request) {
  if (CountHeader(request, "host") != 1) return {0, 400, "exactly one Host header is needed"};
  if (CountHeader(request, "transfer-encoding") != 0) return {0, 411, "Content-Length is needed"};
  if (CountHeader(request, "authorization") > 1) return {0, 400, "more than one Authorization header"};
  const std::size_t count = CountHeader(request, "content-length");
  if (count == 0) return {};
  if (count > 1) return {0, 400, "more than one Content-Length header"};
  const std::string_view text = request.Header("content-length");
  BodyLength length;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), length.bytes);
  if (error != std::errc() || end != text.data() + text.size()) return {0, 400, "malformed Content-Length"};
  if (length.bytes > kBodyBytes) return {0, 413, "Request Entity Too Large"};
  return length;
}

std::string_view Phrase(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 204:
      return "No Content";
    case 207:
      return "Multi-Status";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 307:
      return "Temporary Redirect";
    case 308:
      return "Permanent Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 411:
      return "Length Required";
    case 413:
      return "Content Too Large";
    case 422:
      return "Unprocessable Content";
    case 429:
      return "Too Many Requests";
    case 500:
      return "Internal Server Error";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
  }
  return "Scripted";
}

int HexDigit(char character) {
  if (character >= '0' && character <= '9') return character - '0';
  const char lower = Lower(character);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

int Base64Digit(char character) {
  if (character == '-') return 62;
  if (character == '_') return 63;
  const std::size_t at = kBase64.find(character);
  return at == std::string_view::npos ? -1 : static_cast<int>(at);
}

// Bytes of the UTF-8 sequence at the front of `text`; 0 when it is not one (RFC 3629: no surrogates, no
// overlong forms).
std::size_t Utf8Sequence(std::string_view text) {
  const auto byte = [text](std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  const auto follows = [&byte](std::size_t i) { return (byte(i) & 0xC0U) == 0x80U; };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return follows(1) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {
    const bool in_range = (first != 0xE0 || byte(1) >= 0xA0) && (first != 0xED || byte(1) < 0xA0);
    return in_range && follows(1) && follows(2) ? 3 : 0;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    const bool in_range = (first != 0xF0 || byte(1) >= 0x90) && (first != 0xF4 || byte(1) < 0x90);
    return in_range && follows(1) && follows(2) && follows(3) ? 4 : 0;
  }
  return 0;
}

}  // namespace

bool EqualIgnoringCase(std::string_view left, std::string_view right) {
  if (left.size() != right.size()) return false;
  for (std::size_t i = 0; i < left.size(); ++i) {
    if (Lower(left[i]) != Lower(right[i])) return false;
  }
  return true;
}

std::string_view SimRequest::Header(std::string_view name) const {
  for (const auto& header : headers) {
    if (EqualIgnoringCase(header.first, name)) return header.second;
  }
  return {};
}

std::optional<std::string_view> SimRequest::Query(std::string_view name) const {
  const std::size_t mark = target.find('?');
  std::string_view rest = mark == std::string_view::npos ? std::string_view() : target.substr(mark + 1);
  while (!rest.empty()) {
    const std::string_view pair = rest.substr(0, rest.find('&'));
    rest.remove_prefix(pair.size() == rest.size() ? rest.size() : pair.size() + 1);
    const std::size_t equals = pair.find('=');
    if (pair.substr(0, equals) == name)
      return equals == std::string_view::npos ? std::string_view() : pair.substr(equals + 1);
  }
  return std::nullopt;
}

ReadOutcome ReadRequest(std::string_view buffer, SimRequest& request) {
  const std::size_t head_end = buffer.substr(0, kHeadBytes).find("\r\n\r\n");
  if (head_end == std::string_view::npos) {
    return buffer.size() >= kHeadBytes ? Bad(431, "request head too large") : ReadOutcome{};
  }
  const std::string_view head = buffer.substr(0, head_end);
  const std::size_t line_end = head.find("\r\n");
  if (std::string error = ReadRequestLine(head.substr(0, line_end), request); !error.empty())
    return Bad(400, std::move(error));
  const std::string_view lines =
      line_end == std::string_view::npos ? std::string_view() : head.substr(line_end + 2);
  if (std::string error = ReadHeaders(lines, request); !error.empty()) return Bad(400, std::move(error));
  BodyLength length = ReadBodyLength(request);
  if (length.status != 0) return Bad(length.status, std::move(length.error));

  ReadOutcome outcome;
  const std::size_t body_start = head_end + 4;
  if (buffer.size() - body_start < length.bytes) {
    outcome.expects_continue = EqualIgnoringCase(request.Header("expect"), "100-continue");
    return outcome;
  }
  request.body = buffer.substr(body_start, length.bytes);
  if (EqualIgnoringCase(request.Header("connection"), "close")) request.keep_alive = false;
  outcome.state = ReadState::kComplete;
  outcome.consumed = body_start + length.bytes;
  return outcome;
}

std::string MakeAnswer(int status, std::string_view body, std::string_view extra_headers, bool with_body,
                       bool keep_alive) {
  std::string answer;
  answer.reserve(160 + extra_headers.size() + body.size());
  answer.append("HTTP/1.1 ").append(std::to_string(status)).append(" ").append(Phrase(status)).append("\r\n");
  if (status != 204) {
    answer.append("content-type: application/json; charset=utf-8\r\ncontent-length: ")
        .append(std::to_string(body.size()))
        .append("\r\n");
  }
  answer.append(extra_headers);
  if (!keep_alive) answer.append("connection: close\r\n");
  answer.append("\r\n");
  if (with_body && status != 204) answer.append(body);
  return answer;
}

std::optional<std::string> DecodePercent(std::string_view text) {
  std::string decoded;
  decoded.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded.push_back(text[i]);
      continue;
    }
    if (i + 2 >= text.size()) return std::nullopt;
    const int high = HexDigit(text[i + 1]);
    const int low = HexDigit(text[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    decoded.push_back(static_cast<char>(high * 16 + low));
    i += 2;
  }
  return decoded;
}

std::string EncodeBase64(std::string_view bytes) {
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 3; ++k)
      group = group << 8 | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0U);
    for (std::size_t k = 0; k < 4; ++k)
      text.push_back(i + k > bytes.size() ? '=' : kBase64[group >> (18 - 6 * k) & 63U]);
  }
  return text;
}

std::optional<std::string> DecodeBase64(std::string_view text) {
  if (text.size() % 4 == 0 && text.ends_with("=="))
    text.remove_suffix(2);
  else if (text.size() % 4 == 0 && text.ends_with('='))
    text.remove_suffix(1);
  if (text.size() % 4 == 1) return std::nullopt;
  std::string decoded;
  std::uint32_t bits = 0;
  unsigned count = 0;
  for (const char character : text) {
    const int digit = Base64Digit(character);
    if (digit < 0) return std::nullopt;
    bits = bits << 6 | static_cast<std::uint32_t>(digit);
    count += 6;
    if (count >= 8) {
      count -= 8;
      decoded.push_back(static_cast<char>(bits >> count & 0xFFU));
    }
  }
  return decoded;
}

bool IsUtf8(std::string_view text) {
  while (!text.empty()) {
    std::uint64_t eight = 0;
    while (text.size() >= sizeof(eight)) {  // plain ASCII, eight bytes at a time
      std::memcpy(&eight, text.data(), sizeof(eight));
      if ((eight & 0x8080808080808080U) != 0) break;
      text.remove_prefix(sizeof(eight));
    }
    if (text.empty()) break;
    const std::size_t length = Utf8Sequence(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

}  // namespace outboxd::sim
