#include "core/answer_shape.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include "core/answer.h"
#include "core/ascii.h"
#include "core/job.h"
#include "core/json.h"
#include "core/object_scan.h"
#include "core/result.h"
#include "core/text.h"

namespace outboxd {
namespace {

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
// WHATWG MIME Sniffing: "whitespace bytes".
constexpr std::string_view kHtmlWhiteSpace = " \t\n\f\r";
constexpr std::string_view kV2Path = "/api/v2/";
constexpr std::size_t kXhtmlWithin = 1024;
constexpr std::size_t kTitleWithin = 4096;
constexpr std::size_t kDescriptionBytes = 120;

std::string_view Trimmed(std::string_view text) {
  const std::size_t start = text.find_first_not_of(kJsonWhiteSpace);
  if (start == std::string_view::npos) return {};
  return text.substr(start, text.find_last_not_of(kJsonWhiteSpace) - start + 1);
}

bool StartsWithIgnoringCase(std::string_view text, std::string_view start) {
  return EqualsIgnoringCase(text.substr(0, start.size()), start);
}

// std::string_view::npos when it is not there. `wanted` is lower case.
std::size_t FindIgnoringCase(std::string_view text, std::string_view wanted) {
  const auto* const at = std::search(text.begin(), text.end(), wanted.begin(), wanted.end(),
                                     [](char a, char b) { return Lower(a) == b; });
  return at == text.end() ? std::string_view::npos : static_cast<std::size_t>(at - text.begin());
}

// "{}" is what the API sends: the answer that nearly every request gets is not parsed.
bool IsOwnSuccess(const Answer& answer) {
  const std::string_view body = Trimmed(answer.body);
  // Numbers and literals are never so long.
  if (answer.is_body_cut) return body.starts_with('{') || body.starts_with('[') || body.starts_with('"');
  return body.empty() || body == "{}" || JsonValue::Parse(body).has_value();
}

bool IsOwnRefusal(const Answer& answer, Expected expected) {
  if (answer.is_body_cut) return Trimmed(answer.body).starts_with('{');
  const Result<JsonValue> body = JsonValue::Parse(answer.body);
  if (!body) return false;
  const JsonValue meta = (*body)["meta"];
  return meta["error"].IsString() || meta["errors"].IsArray() ||
         (expected == Expected::kV2 && (*body)["errors"].IsArray());
}

std::string_view TitleOf(std::string_view body) {
  constexpr std::string_view kTitle = "<title";
  body = body.substr(0, kTitleWithin);
  const std::size_t tag = FindIgnoringCase(body, kTitle);
  if (tag == std::string_view::npos) return {};
  const std::size_t end_of_tag = body.find('>', tag + kTitle.size());
  if (end_of_tag == std::string_view::npos) return {};
  body.remove_prefix(end_of_tag + 1);
  return body.substr(0, body.find('<'));
}

// The words of `text` with one space between them, as far as the description goes.
std::string Words(std::string_view text) {
  std::string words;
  for (const char byte : text) {
    if (byte == ' ' || IsControl(byte)) {
      if (!words.empty() && !words.ends_with(' ')) words += ' ';
    } else {
      words += byte;
    }
    if (words.size() > kDescriptionBytes) break;
  }
  words.resize(CutAtCharacter(words, kDescriptionBytes).size());
  while (words.ends_with(' ')) words.pop_back();
  return ReplaceInvalidUtf8(words);
}

}  // namespace

Expected ExpectedOf(const Job& job) {
  if (job.raw) return job.raw->response_type == ResponseType::kJson ? Expected::kNoHtml : Expected::kAnything;
  if (!job.call) return Expected::kV1;
  if (job.call->target.starts_with(kV2Path)) return Expected::kV2;
  // Nothing says what /unsubscribe answers.
  return job.type == JobType::kRaw ? Expected::kAnything : Expected::kV1;
}

bool IsAsExpected(const Answer& answer, Expected expected) {
  switch (expected) {
    case Expected::kAnything:
      return true;
    case Expected::kNoHtml:
      return !LooksLikeHtml(answer.body);
    case Expected::kV1:
    case Expected::kV2:
      break;
  }
  if (answer.status / 100 == 2) return IsOwnSuccess(answer);
  return answer.status / 100 == 4 && IsOwnRefusal(answer, expected);
}

bool LooksLikeHtml(std::string_view body) {
  constexpr std::array<std::string_view, 16> kTags = {
      "<!doctype html", "<html", "<head",  "<script", "<iframe", "<h1",   "<div", "<font",
      "<table",         "<a",    "<style", "<title",  "<b",      "<body", "<br",  "<p"};
  if (body.starts_with(kByteOrderMark)) body.remove_prefix(kByteOrderMark.size());
  body.remove_prefix(std::min(body.find_first_not_of(kHtmlWhiteSpace), body.size()));
  if (body.starts_with("<!--")) return true;
  if (body.starts_with("<?xml"))
    return FindIgnoringCase(body.substr(0, kXhtmlWithin), "<html") != std::string_view::npos;
  return std::any_of(kTags.begin(), kTags.end(), [body](std::string_view tag) {
    constexpr std::string_view kEndsTag = " \t\n\f\r>";
    return StartsWithIgnoringCase(body, tag) && body.size() > tag.size() &&
           kEndsTag.find(body[tag.size()]) != std::string_view::npos;
  });
}

std::string DescribeBody(std::string_view body) {
  for (const std::string_view text : {LooksLikeHtml(body) ? TitleOf(body) : std::string_view(), body}) {
    if (std::string words = Words(text); !words.empty()) return words;
  }
  return "no body";
}

}  // namespace outboxd
