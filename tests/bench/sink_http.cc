#include "tests/bench/sink_http.h"

#include <strings.h>

#include <algorithm>
#include <charconv>

namespace outboxd::bench {
namespace {

constexpr std::string_view kHeadEnd = "\r\n\r\n";
constexpr std::size_t kHeadBytes = 64 * 1024;
constexpr std::size_t kHeadStepBytes =
    1024;  // copied at a time: a head is shorter, and a body behind it need not be copied
constexpr unsigned kItemDepth = 3;  // object, array, object

bool StartsWithIgnoringCase(std::string_view text, std::string_view beginning) {
  return text.size() >= beginning.size() && strncasecmp(text.data(), beginning.data(), beginning.size()) == 0;
}

std::string_view ValueOf(std::string_view line) {
  line.remove_prefix(line.find(':') + 1);
  line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
  return line;
}

}  // namespace

void BatchCounter::Scan(std::string_view bytes) {
  for (const char byte : bytes) {
    if (in_string_) {
      in_string_ = byte != '"' || after_backslash_;
      after_backslash_ = byte == '\\' && !after_backslash_;
    } else if (byte == '"') {
      in_string_ = true;
    } else if (byte == '{' || byte == '[') {
      if (++depth_ == kItemDepth && byte == '{') ++items_;
    } else if (byte == '}' || byte == ']') {
      --depth_;
    }
  }
}

bool SinkReader::Take(std::string_view bytes, const OnRequest& on_request, bool& wants_continue) {
  while (!bytes.empty()) {
    if (!in_body_) {
      if (!TakeHead(bytes)) {
        if (head_.size() > kHeadBytes) return false;
        continue;
      }
      if (!ReadHead(head_)) return false;
      if (expects_continue_ && bytes.empty()) wants_continue = true;
    }
    const std::string_view body = bytes.substr(0, body_left_);
    if (is_batch_) counter_.Scan(body);
    body_left_ -= body.size();
    bytes.remove_prefix(body.size());
    if (body_left_ == 0) Finish(on_request);
  }
  return true;
}

// Removes what belongs to the head. True once the head is whole.
bool SinkReader::TakeHead(std::string_view& bytes) {
  const std::size_t before = head_.size();
  const std::string_view step = bytes.substr(0, kHeadStepBytes);
  head_.append(step);
  // Its end may have begun in the bytes that came earlier.
  const std::size_t end = head_.find(kHeadEnd, before - std::min(before, kHeadEnd.size() - 1));
  if (end == std::string::npos) {
    bytes.remove_prefix(step.size());
    return false;
  }
  head_.resize(end + kHeadEnd.size());
  bytes.remove_prefix(head_.size() - before);
  return true;
}

bool SinkReader::ReadHead(std::string_view head) {
  const std::string_view line = head.substr(0, head.find("\r\n"));
  const std::size_t method_end = line.find(' ');
  const std::size_t target_end = line.rfind(' ');
  if (method_end == std::string_view::npos || target_end <= method_end) return false;
  request_ = {line.substr(0, method_end), line.substr(method_end + 1, target_end - method_end - 1), 0, false};
  body_left_ = 0;
  expects_continue_ = false;
  for (head.remove_prefix(line.size() + 2); !head.starts_with("\r\n");) {
    const std::string_view header = head.substr(0, head.find("\r\n"));
    const std::string_view value = ValueOf(header);
    if (StartsWithIgnoringCase(header, "content-length:")) {
      if (std::from_chars(value.data(), value.data() + value.size(), body_left_).ec != std::errc())
        return false;
    } else if (StartsWithIgnoringCase(header, "connection:")) {
      request_.closes = StartsWithIgnoringCase(value, "close");
    } else if (StartsWithIgnoringCase(header, "expect:")) {
      expects_continue_ = true;
    } else if (StartsWithIgnoringCase(header, "transfer-encoding:")) {
      return false;
    }
    head.remove_prefix(header.size() + 2);
  }
  is_batch_ = request_.target.ends_with("/batch");
  counter_ = BatchCounter();
  in_body_ = true;
  return true;
}

void SinkReader::Finish(const OnRequest& on_request) {
  request_.items = counter_.Items();
  on_request(request_);
  head_.clear();
  in_body_ = false;
}

}  // namespace outboxd::bench
