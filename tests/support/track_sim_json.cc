#include "tests/support/track_sim_json.h"

#include <rapidjson/error/en.h>
#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>

#include <charconv>
#include <cstdlib>

namespace outboxd::sim {

const Node* Find(const Node& object, std::string_view name) {
  if (!object.IsObject()) return nullptr;
  for (auto member = object.MemberBegin(); member != object.MemberEnd(); ++member) {
    if (Text(member->name) == name) return &member->value;
  }
  return nullptr;
}

std::string_view Text(const Node& string) {
  return {string.GetString(), string.GetStringLength()};
}

std::size_t CountMembers(const Node& object, std::string_view name) {
  std::size_t count = 0;
  for (auto member = object.MemberBegin(); member != object.MemberEnd(); ++member) {
    if (Text(member->name) == name) ++count;
  }
  return count;
}

std::optional<std::int64_t> IntegerMember(const Node& object, std::string_view name) {
  const Node* value = Find(object, name);
  if (value == nullptr || !value->IsInt64()) return std::nullopt;
  return value->GetInt64();
}

// Passes everything on to the document and notes where the objects lie whose size is limited.
struct BodyReader::Builder {
  rapidjson::Document& document;
  const rapidjson::MemoryStream& stream;
  std::string_view body;
  BodyReader& reader;
  std::size_t depth = 0;
  std::size_t start = 0;
  std::string_view member;  // of the root, being read

  bool Null() { return document.Null(); }
  bool Bool(bool value) { return document.Bool(value); }
  bool Int(int value) { return document.Int(value); }
  bool Uint(unsigned value) { return document.Uint(value); }
  bool Int64(std::int64_t value) { return document.Int64(value); }
  bool Uint64(std::uint64_t value) { return document.Uint64(value); }
  bool Double(double value) { return document.Double(value); }
  bool String(const char* text, rapidjson::SizeType length, bool) { return document.String(text, length, true); }
  bool EndArray(rapidjson::SizeType count) { return --depth, document.EndArray(count); }

  bool RawNumber(const char* text, rapidjson::SizeType length, bool) {
    std::int64_t whole = 0;
    const auto [end, error] = std::from_chars(text, text + length, whole);
    if (error == std::errc() && end == text + length) return document.Int64(whole);
    return document.Double(std::strtod(std::string(text, length).c_str(), nullptr));
  }

  bool Key(const char* text, rapidjson::SizeType length, bool) {
    if (depth == 1) member = std::string_view(text, length) == "data" ? "data" : std::string_view(text, length) == "batch" ? "batch" : "";
    return document.Key(text, length, true);
  }

  bool StartArray() { return ++depth <= kBodyDepth && document.StartArray(); }

  bool StartObject() {
    ++depth;
    if ((depth == 2 && member == "data") || (depth == 3 && member == "batch")) start = stream.Tell() - 1;
    return depth <= kBodyDepth && document.StartObject();
  }

  bool EndObject(rapidjson::SizeType count) {
    const std::string_view text = body.substr(start, stream.Tell() - start);
    if (depth == 2 && member == "data") reader.data_bytes_ = text.size();
    if (depth == 3 && member == "batch") reader.items_.push_back(text);
    --depth;
    return document.EndObject(count);
  }
};

namespace {

bool IsDigit(char character) {
  return character >= '0' && character <= '9';
}

// Bytes of the JSON number at the front of `text`; 0 when it is not one.
std::size_t NumberLength(std::string_view text) {
  std::size_t at = text.starts_with('-') ? 1 : 0;
  const auto skip_digits = [&] {
    const std::size_t first = at;
    while (at < text.size() && IsDigit(text[at])) ++at;
    return at - first;
  };
  const bool leading_zero = at < text.size() && text[at] == '0';
  const std::size_t whole = skip_digits();
  if (whole == 0 || (leading_zero && whole > 1)) return 0;
  if (at < text.size() && text[at] == '.' && (++at, skip_digits() == 0)) return 0;
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    ++at;
    if (at < text.size() && (text[at] == '+' || text[at] == '-')) ++at;
    if (skip_digits() == 0) return 0;
  }
  return at;
}

// RapidJSON refuses numbers outside a double's range, which JSON allows: in the copy each number is a 1 and spaces, as long as before.
std::string WithPlainNumbers(std::string_view body) {
  std::string copy(body);
  bool in_string = false;
  for (std::size_t i = 0; i < body.size(); ++i) {
    if (in_string && body[i] == '\\')
      ++i;
    else if (body[i] == '"')
      in_string = !in_string;
    const std::size_t length = in_string || !(IsDigit(body[i]) || body[i] == '-') ? 0 : NumberLength(body.substr(i));
    if (length == 0) continue;
    copy.replace(i, length, "1" + std::string(length - 1, ' '));
    i += length - 1;
  }
  return copy;
}

}  // namespace

std::string BodyReader::Read(std::string_view body) {
  std::string error = ReadOnce(body, body);
  if (error != rapidjson::GetParseError_En(rapidjson::kParseErrorNumberTooBig)) return error;
  return ReadOnce(WithPlainNumbers(body), body);
}

std::string BodyReader::ReadOnce(std::string_view text, std::string_view body) {
  items_.clear();
  data_bytes_ = 0;
  document_.reset();
  allocator_.emplace(pool_.data(), pool_.size());
  document_.emplace(&*allocator_);
  rapidjson::MemoryStream stream(text.data(), text.size());
  rapidjson::Reader reader;
  Builder builder{*document_, stream, body, *this, 0, 0, {}};
  auto generate = [&](rapidjson::Document&) {
    constexpr unsigned kFlags = rapidjson::kParseNumbersAsStringsFlag | rapidjson::kParseValidateEncodingFlag;
    return !reader.Parse<kFlags>(stream, builder).IsError();
  };
  document_->Populate(generate);
  if (!reader.HasParseError()) return {};
  const std::string error = rapidjson::GetParseError_En(reader.GetParseErrorCode());
  if (reader.GetParseErrorCode() == rapidjson::kParseErrorNumberTooBig) return error;
  return "invalid JSON at byte " + std::to_string(reader.GetErrorOffset()) + ": " + error;
}

}  // namespace outboxd::sim
