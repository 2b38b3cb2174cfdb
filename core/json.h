// core/json.h — JSON as the admin API, its client and the answer reader need it. The only RapidJSON DOM in the program.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace outboxd {

// A parsed value; cheap to copy (shares its document). Reading a member that is absent or of another type gives the fallback.
// Depth is bounded by limits::kJsonDepth; not for the producer's lines, whose bytes are carried.
class JsonValue {
 public:
  static Result<JsonValue> Parse(std::string_view text);

  JsonValue();  // null
  bool IsNull() const;
  bool IsObject() const;
  bool IsArray() const;
  bool IsString() const;
  bool IsNumber() const;
  bool IsBool() const;
  JsonValue operator[](std::string_view name) const;  // null when absent or not an object
  bool Has(std::string_view name) const;
  std::vector<JsonValue> Items() const;               // empty when not an array
  std::vector<std::pair<std::string, JsonValue>> Members() const;
  std::string String(std::string_view fallback = {}) const;
  std::int64_t Int(std::int64_t fallback = 0) const;
  double Number(double fallback = 0) const;
  bool Bool(bool fallback = false) const;
  std::string ToText() const;                         // compact JSON

 private:
  struct Document;
  JsonValue(std::shared_ptr<const Document> document, const void* value);
  std::shared_ptr<const Document> document_;
  const void* value_ = nullptr;
};

// Writes one JSON text; invalid UTF-8 in strings becomes U+FFFD. Commas and quoting are its business:
//   JsonWriter w; w.Object().Key("job").String(id).Key("age_s").Int(5).EndObject(); w.Text()
class JsonWriter {
 public:
  JsonWriter& Object();
  JsonWriter& EndObject();
  JsonWriter& Array();
  JsonWriter& EndArray();
  JsonWriter& Key(std::string_view name);
  JsonWriter& String(std::string_view text);
  JsonWriter& Int(std::int64_t number);
  JsonWriter& Number(double number);
  JsonWriter& Bool(bool value);
  JsonWriter& Null();
  JsonWriter& Raw(std::string_view json);  // one complete JSON value, trusted to be valid
  const std::string& Text() const { return text_; }
  std::string Take() { return std::move(text_); }

 private:
  void Separate();
  std::string text_;
  bool needs_comma_ = false;
};

// `text` with control bytes, DEL, C1 controls, bidi overrides and invalid UTF-8 as visible escapes (\xNN, \u{…}): safe for a terminal or a log line.
std::string EscapeForTerminal(std::string_view text);

}  // namespace outboxd
