#include "core/json.h"

#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "core/limits.h"
#include "core/object_scan.h"
#include "core/result.h"
#include "core/text.h"

namespace outboxd {
namespace {

// The admin API wraps a producer's line, as deep as it may be, into rows and objects.
constexpr std::size_t kEnvelopeDepth = 8;

void AppendQuoted(std::string& out, std::string_view text) {
  if (IsUtf8(text)) return AppendJsonString(out, text);
  AppendJsonString(out, ReplaceInvalidUtf8(text));
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

}  // namespace

struct JsonValue::Document {
  std::string text;
  std::vector<TreeNode> nodes;
};

JsonValue::JsonValue() = default;

JsonValue::JsonValue(std::shared_ptr<const Document> document, const TreeNode* node)
    : document_(std::move(document)), node_(node) {}

Result<JsonValue> JsonValue::Parse(std::string_view text) {
  if (text.size() > std::numeric_limits<std::uint32_t>::max() - 2)
    return Fail(ErrorKind::kInvalid, "too long");
  const auto document = std::make_shared<Document>();
  document->text = text;
  ASSIGN_OR_RETURN(document->nodes, ScanTree(document->text, limits::kJsonDepth + kEnvelopeDepth));
  return JsonValue(document, &document->nodes.front());
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

std::string_view JsonValue::Raw() const {
  return std::string_view(document_->text).substr(node_->raw.offset, node_->raw.length);
}

template <typename Visit>
void JsonValue::ForEachChild(Visit visit) const {
  const std::vector<TreeNode>& nodes = document_->nodes;
  const auto own = static_cast<std::size_t>(node_ - nodes.data());
  for (std::size_t child = own + 1; child < node_->end; child = nodes[child].end) {
    if (!visit(nodes[child])) return;
  }
}

const TreeNode* JsonValue::FindMember(std::string_view name) const {
  const TreeNode* found = nullptr;
  if (!IsObject()) return found;
  ForEachChild([&](const TreeNode& child) {
    if (child.key == name) found = &child;
    return found == nullptr;
  });
  return found;
}

JsonValue JsonValue::operator[](std::string_view name) const {
  const TreeNode* member = FindMember(name);
  return member == nullptr ? JsonValue() : JsonValue(document_, member);
}

bool JsonValue::Has(std::string_view name) const {
  return FindMember(name) != nullptr;
}

std::vector<JsonValue> JsonValue::Items() const {
  std::vector<JsonValue> items;
  if (!IsArray()) return items;
  ForEachChild([&](const TreeNode& child) {
    items.push_back(JsonValue(document_, &child));
    return true;
  });
  return items;
}

std::vector<std::pair<std::string, JsonValue>> JsonValue::Members() const {
  std::vector<std::pair<std::string, JsonValue>> members;
  if (!IsObject()) return members;
  ForEachChild([&](const TreeNode& child) {
    members.emplace_back(child.key, JsonValue(document_, &child));
    return true;
  });
  return members;
}

std::string JsonValue::String(std::string_view fallback) const {
  return IsString() ? node_->text : std::string(fallback);
}
std::int64_t JsonValue::Int(std::int64_t fallback) const {
  return IsNumber() ? ToInteger(Raw()).value_or(fallback) : fallback;
}
double JsonValue::Number(double fallback) const {
  return IsNumber() ? ToDouble(Raw()).value_or(fallback) : fallback;
}
bool JsonValue::Bool(bool fallback) const {
  return IsBool() ? node_->kind == ValueKind::kTrue : fallback;
}

std::string JsonValue::ToText() const {
  if (node_ == nullptr) return "null";
  const std::string_view raw = Raw();
  std::string out;
  out.reserve(raw.size());
  bool in_string = false;
  for (std::size_t at = 0; at < raw.size(); ++at) {
    const char byte = raw[at];
    if (!in_string && kJsonWhiteSpace.find(byte) != std::string_view::npos) continue;
    out += byte;
    if (byte == '"') in_string = !in_string;
    if (in_string && byte == '\\') out += raw[++at];
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

}  // namespace outboxd
