#include "tests/track_sim/json.h"

#include <rapidjson/error/en.h>
#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <utility>

#include "tests/track_sim/http.h"

namespace outboxd::sim {

const Node* Find(const Node& object, std::string_view name) {
  if (!object.IsObject()) return nullptr;
  for (const Node& member : object) {
    if (member.Name() == name) return &member;
  }
  return nullptr;
}

std::size_t CountMembers(const Node& object, std::string_view name) {
  std::size_t count = 0;
  for (const Node& member : object) {
    if (member.Name() == name) ++count;
  }
  return count;
}

std::optional<std::int64_t> IntegerMember(const Node& object, std::string_view name) {
  const Node* value = Find(object, name);
  return value == nullptr ? std::nullopt : value->Integer();
}

// Takes RapidJSON's events and lays the nodes out. (Its own document does not compile with recent clang.)
struct BodyReader::Builder {
  std::vector<Node>& nodes;
  std::vector<char>& strings;  // as large as the body: decoding makes nothing longer
  const rapidjson::MemoryStream& stream;
  std::string_view body;
  std::size_t strings_used = 0;
  std::string_view name = {};            // of the value that comes next
  std::vector<std::size_t> open = {};    // positions of the arrays and objects around it
  std::vector<std::size_t> starts = {};  // where in the body they begin

  std::string_view Keep(const char* text, std::size_t length) {
    char* const copy = strings.data() + strings_used;
    std::copy(text, text + length, copy);
    strings_used += length;
    return {copy, length};
  }

  Node& Add(Kind kind) {
    Node& node = nodes.emplace_back();
    node.kind_ = kind;
    node.name_ = std::exchange(name, {});
    if (!open.empty()) ++nodes[open.back()].count_;
    return node;
  }

  bool Open(Kind kind) {
    Add(kind);
    open.push_back(nodes.size() - 1);
    starts.push_back(stream.Tell() - 1);
    return open.size() <= kBodyDepth;
  }

  bool Close() {
    Node& node = nodes[open.back()];
    node.subtree_ = nodes.size() - open.back();
    node.source_ = body.substr(starts.back(), stream.Tell() - starts.back());
    open.pop_back();
    starts.pop_back();
    return true;
  }

  bool Null() { return Add(Kind::kNull), true; }
  bool Bool(bool value) { return Add(Kind::kBool).number_ = value ? 1 : 0, true; }
  bool Key(const char* text, rapidjson::SizeType length, bool) { return name = Keep(text, length), true; }
  bool String(const char* text, rapidjson::SizeType length, bool) {
    return Add(Kind::kString).text_ = Keep(text, length), true;
  }
  bool StartObject() { return Open(Kind::kObject); }
  bool EndObject(rapidjson::SizeType) { return Close(); }
  bool StartArray() { return Open(Kind::kArray); }
  bool EndArray(rapidjson::SizeType) { return Close(); }

  bool RawNumber(const char* text, rapidjson::SizeType length, bool) {
    Node& node = Add(Kind::kNumber);
    std::int64_t whole = 0;
    const auto [end, error] = std::from_chars(text, text + length, whole);
    if (error == std::errc() && end == text + length) node.integer_ = whole;
    node.number_ =
        node.integer_ ? static_cast<double>(whole) : std::strtod(std::string(text, length).c_str(), nullptr);
    return true;
  }

  // Numbers come as text; RapidJSON wants these all the same.
  bool Int(int) { return false; }
  bool Uint(unsigned) { return false; }
  bool Int64(std::int64_t) { return false; }
  bool Uint64(std::uint64_t) { return false; }
  bool Double(double) { return false; }
};

namespace {

bool IsDigit(char character) {
  return character >= '0' && character <= '9';
}

// \udXyy with one of these digits at X.
bool IsSurrogateEscape(std::string_view text, std::string_view digits) {
  return text.size() >= 6 && text[0] == '\\' && text[1] == 'u' && (text[2] == 'd' || text[2] == 'D') &&
         digits.find(text[3]) != std::string_view::npos;
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

// RapidJSON refuses numbers outside a double's range, which JSON allows: in the copy each number is a 1 and
// spaces, as long as before.
std::string WithPlainNumbers(std::string_view body) {
  std::string copy(body);
  bool in_string = false;
  for (std::size_t i = 0; i < body.size(); ++i) {
    if (in_string && body[i] == '\\')
      ++i;
    else if (body[i] == '"')
      in_string = !in_string;
    const std::size_t length =
        in_string || !(IsDigit(body[i]) || body[i] == '-') ? 0 : NumberLength(body.substr(i));
    if (length == 0) continue;
    copy.replace(i, length, "1" + std::string(length - 1, ' '));
    i += length - 1;
  }
  return copy;
}

}  // namespace

std::string BodyReader::Read(std::string_view body) {
  nodes_.assign(1, Node());
  // Checked here because RapidJSON's own check takes longer than all the rest of its reading.
  if (!IsUtf8(body)) return "invalid JSON: not UTF-8";
  std::string error = ReadOnce(body, body);
  // Half a pair of surrogates, as an escape: read as U+FFFD, as Go's and other readers do.
  std::string whole(body);
  for (std::size_t at = body.find("\\u"); at != std::string_view::npos; at = body.find("\\u", at + 2)) {
    if (error.find("surrogate") == std::string::npos) break;
    if (at > 0 && body[at - 1] == '\\') continue;
    const bool is_high = IsSurrogateEscape(body.substr(at), "89abAB");
    const bool is_pair = is_high && IsSurrogateEscape(body.substr(at + 6), "cdefCDEF");
    if (is_pair) at += 6;
    if (!is_pair && (is_high || IsSurrogateEscape(body.substr(at), "cdefCDEF")))
      whole.replace(at, 6, "\\ufffd");
  }
  if (whole != body) error = ReadOnce(whole, body);
  if (error != rapidjson::GetParseError_En(rapidjson::kParseErrorNumberTooBig)) return error;
  return ReadOnce(WithPlainNumbers(whole), body);
}

std::string BodyReader::ReadOnce(std::string_view text, std::string_view body) {
  nodes_.clear();
  strings_.resize(std::max(strings_.size(), body.size()));
  rapidjson::MemoryStream stream(text.data(), text.size());
  rapidjson::Reader reader;
  Builder builder{nodes_, strings_, stream, body};
  reader.Parse<rapidjson::kParseNumbersAsStringsFlag>(stream, builder);
  if (!reader.HasParseError()) return {};
  nodes_.assign(1, Node());
  const std::string error = rapidjson::GetParseError_En(reader.GetParseErrorCode());
  if (reader.GetParseErrorCode() == rapidjson::kParseErrorNumberTooBig) return error;
  return "invalid JSON at byte " + std::to_string(reader.GetErrorOffset()) + ": " + error;
}

}  // namespace outboxd::sim
