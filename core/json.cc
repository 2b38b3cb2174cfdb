#include "core/json.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>

#include "core/limits.h"
#include "core/object_scan.h"

namespace outboxd {
namespace {

// The admin API wraps a producer's line, as deep as it may be, into rows and objects.
constexpr std::size_t kEnvelopeDepth = 8;

struct CodePoint {
  char32_t value = 0;
  std::size_t length = 1;
  bool valid = false;
};

// The code point at `at` (which is inside `text`): shortest form, no surrogates, at most U+10FFFF. Invalid:
// one byte long.
CodePoint Decode(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(at);
  if (lead < 0x80) return {lead, 1, true};
  const std::size_t length = lead >= 0xc2 && lead <= 0xdf   ? 2
                             : (lead & 0xf0) == 0xe0        ? 3
                             : lead >= 0xf0 && lead <= 0xf4 ? 4
                                                            : 0;
  if (length == 0 || at + length > text.size()) return {};
  char32_t value = lead & (0x7fU >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(at + i) & 0xc0) != 0x80) return {};
    value = (value << 6) | (byte(at + i) & 0x3fU);
  }
  constexpr char32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  if (value < kLeast[length] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) return {};
  return {value, length, true};
}

constexpr char kHex[] = "0123456789abcdef";

void AppendQuotedByte(std::string& out, char byte) {
  switch (byte) {
    case '"':
      out += "\\\"";
      break;
    case '\\':
      out += "\\\\";
      break;
    case '\n':
      out += "\\n";
      break;
    case '\r':
      out += "\\r";
      break;
    case '\t':
      out += "\\t";
      break;
    default: {
      const auto code = static_cast<unsigned char>(byte);
      out += "\\u00";
      out += kHex[code >> 4];
      out += kHex[code & 0xf];
    }
  }
}

void AppendQuoted(std::string& out, std::string_view text) {
  out += '"';
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint point = Decode(text, at);
    if (!point.valid) {
      out += "\xef\xbf\xbd";
    } else if (point.value < 0x20 || point.value == '"' || point.value == '\\') {
      AppendQuotedByte(out, text[at]);
    } else {
      out += text.substr(at, point.length);
    }
    at += point.length;
  }
  out += '"';
}

std::optional<double> ToDouble(std::string_view json) {
  double number = 0;
  const auto [end, error] = std::from_chars(json.data(), json.data() + json.size(), number);
  if (error != std::errc{} || end != json.data() + json.size()) return std::nullopt;
  return number;
}

std::optional<std::int64_t> ToInteger(std::string_view json) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(json.data(), json.data() + json.size(), number);
  if (error == std::errc{} && end == json.data() + json.size()) return number;
  const std::optional<double> real = ToDouble(json);  // "5.0", "1e3"
  constexpr double kExactBound = 9007199254740992.0;
  if (!real || *real != std::floor(*real) || std::abs(*real) > kExactBound) return std::nullopt;
  return static_cast<std::int64_t>(*real);
}

// Characters that hide, reorder or end text.
bool IsTreacherous(char32_t point) {
  return point < 0x20 || (point >= 0x7f && point <= 0x9f) || point == 0xad || point == 0x61c ||
         (point >= 0x200b && point <= 0x200f) || (point >= 0x2028 && point <= 0x202e) ||
         (point >= 0x2060 && point <= 0x206f) || point == 0xfeff || (point >= 0xfff9 && point <= 0xfffb) ||
         (point >= 0xe0000 && point <= 0xe0fff);
}

void AppendHexByte(std::string& out, unsigned char byte) {
  out += "\\x";
  out += kHex[byte >> 4];
  out += kHex[byte & 0xf];
}

void AppendHexPoint(std::string& out, char32_t point) {
  char digits[8];
  const auto written = std::to_chars(digits, digits + sizeof digits, static_cast<std::uint32_t>(point), 16);
  out += "\\u{";
  out.append(digits, written.ptr);
  out += '}';
}

}  // namespace

struct JsonValue::Node {
  ValueKind kind = ValueKind::kNull;
  std::string_view raw;  // in the document's text
  std::string key;       // decoded; of an object's members
  std::string text;      // decoded; of strings
  std::vector<Node> children;
};

struct JsonValue::Document {
  std::string text;
  Node root;
};

JsonValue::JsonValue() = default;

JsonValue::JsonValue(std::shared_ptr<const Document> document, const Node* node)
    : document_(std::move(document)), node_(node) {}

// Recursion is bounded: the scan of the outermost value has bounded the depth of all.
Result<void> JsonValue::ReadChildren(const std::string& text, std::size_t offset, Node& node) {
  std::vector<Member> members;
  const std::string inner(node.raw);
  const Result<ValueKind> scanned = ScanMembers(inner, members, limits::kJsonDepth + kEnvelopeDepth);
  if (!scanned) return tl::unexpected(scanned.error());
  node.kind = *scanned;
  node.children.reserve(members.size());
  for (Member& member : members) {
    const std::size_t start = offset + member.raw.offset;
    const std::string_view raw = std::string_view(text).substr(start, member.raw.length);
    Node& child =
        node.children.emplace_back(Node{member.kind, raw, std::move(member.key), std::move(member.text), {}});
    if (child.kind != ValueKind::kObject && child.kind != ValueKind::kArray) continue;
    RETURN_IF_ERROR(ReadChildren(text, start, child));
  }
  return {};
}

Result<JsonValue> JsonValue::Parse(std::string_view text) {
  if (text.size() > std::numeric_limits<std::uint32_t>::max() - 2)
    return Fail(ErrorKind::kInvalid, "too long");
  const auto document = std::make_shared<Document>();
  document->text = text;
  document->root.raw = document->text;
  Result<void> read = ReadChildren(document->text, 0, document->root);
  if (read) return JsonValue(document, &document->root);
  if (read.error().kind != ErrorKind::kConflict) return tl::unexpected(read.error());
  // A lone scalar: read as the only element of an array.
  document->text.insert(0, "[").append("]");
  document->root = Node{};
  document->root.raw = document->text;
  read = ReadChildren(document->text, 0, document->root);
  if (!read) return Fail(ErrorKind::kInvalid, read.error().message);
  if (document->root.children.size() != 1) return Fail(ErrorKind::kInvalid, "more than one JSON value");
  return JsonValue(document, &document->root.children.front());
}

bool JsonValue::IsNull() const {
  return node_ == nullptr || node_->kind == ValueKind::kNull;
}
bool JsonValue::IsObject() const {
  return node_ != nullptr && node_->kind == ValueKind::kObject;
}
bool JsonValue::IsArray() const {
  return node_ != nullptr && node_->kind == ValueKind::kArray;
}
bool JsonValue::IsString() const {
  return node_ != nullptr && node_->kind == ValueKind::kString;
}
bool JsonValue::IsNumber() const {
  return node_ != nullptr && node_->kind == ValueKind::kNumber;
}
bool JsonValue::IsBool() const {
  return node_ != nullptr && (node_->kind == ValueKind::kTrue || node_->kind == ValueKind::kFalse);
}

JsonValue JsonValue::operator[](std::string_view name) const {
  if (!IsObject()) return {};
  const auto child = std::find_if(node_->children.begin(), node_->children.end(),
                                  [&](const Node& node) { return node.key == name; });
  return child == node_->children.end() ? JsonValue() : JsonValue(document_, &*child);
}

bool JsonValue::Has(std::string_view name) const {
  return IsObject() && std::any_of(node_->children.begin(), node_->children.end(),
                                   [&](const Node& node) { return node.key == name; });
}

std::vector<JsonValue> JsonValue::Items() const {
  std::vector<JsonValue> items;
  if (!IsArray()) return items;
  items.reserve(node_->children.size());
  for (const Node& child : node_->children) items.push_back(JsonValue(document_, &child));
  return items;
}

std::vector<std::pair<std::string, JsonValue>> JsonValue::Members() const {
  std::vector<std::pair<std::string, JsonValue>> members;
  if (!IsObject()) return members;
  members.reserve(node_->children.size());
  for (const Node& child : node_->children) members.emplace_back(child.key, JsonValue(document_, &child));
  return members;
}

std::string JsonValue::String(std::string_view fallback) const {
  return IsString() ? node_->text : std::string(fallback);
}
std::int64_t JsonValue::Int(std::int64_t fallback) const {
  return IsNumber() ? ToInteger(node_->raw).value_or(fallback) : fallback;
}
double JsonValue::Number(double fallback) const {
  return IsNumber() ? ToDouble(node_->raw).value_or(fallback) : fallback;
}
bool JsonValue::Bool(bool fallback) const {
  return IsBool() ? node_->kind == ValueKind::kTrue : fallback;
}

std::string JsonValue::ToText() const {
  if (node_ == nullptr) return "null";
  std::string out;
  out.reserve(node_->raw.size());
  bool in_string = false;
  for (std::size_t at = 0; at < node_->raw.size(); ++at) {
    const char byte = node_->raw[at];
    if (!in_string && (byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r')) continue;
    out += byte;
    if (byte == '"') in_string = !in_string;
    if (in_string && byte == '\\') out += node_->raw[++at];
  }
  return out;
}

void JsonWriter::Separate() {
  if (needs_comma_) text_ += ',';
  needs_comma_ = true;
}

JsonWriter& JsonWriter::Object() {
  Separate();
  text_ += '{';
  needs_comma_ = false;
  return *this;
}

JsonWriter& JsonWriter::EndObject() {
  text_ += '}';
  needs_comma_ = true;
  return *this;
}

JsonWriter& JsonWriter::Array() {
  Separate();
  text_ += '[';
  needs_comma_ = false;
  return *this;
}

JsonWriter& JsonWriter::EndArray() {
  text_ += ']';
  needs_comma_ = true;
  return *this;
}

JsonWriter& JsonWriter::Key(std::string_view name) {
  Separate();
  AppendQuoted(text_, name);
  text_ += ':';
  needs_comma_ = false;
  return *this;
}

JsonWriter& JsonWriter::String(std::string_view text) {
  Separate();
  AppendQuoted(text_, text);
  return *this;
}

JsonWriter& JsonWriter::Int(std::int64_t number) {
  return Raw(std::to_string(number));
}

JsonWriter& JsonWriter::Number(double number) {
  if (!std::isfinite(number)) return Null();
  char digits[32];
  const auto written = std::to_chars(digits, digits + sizeof digits, number);
  return Raw(std::string_view(digits, static_cast<std::size_t>(written.ptr - digits)));
}

JsonWriter& JsonWriter::Bool(bool value) {
  return Raw(value ? "true" : "false");
}
JsonWriter& JsonWriter::Null() {
  return Raw("null");
}

JsonWriter& JsonWriter::Raw(std::string_view json) {
  Separate();
  text_ += json;
  return *this;
}

std::string EscapeForTerminal(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint point = Decode(text, at);
    if (!point.valid || point.value < 0x20 || point.value == 0x7f) {
      AppendHexByte(out, static_cast<unsigned char>(text[at]));
    } else if (IsTreacherous(point.value)) {
      AppendHexPoint(out, point.value);
    } else {
      out += text.substr(at, point.length);
    }
    at += point.length;
  }
  return out;
}

}  // namespace outboxd
