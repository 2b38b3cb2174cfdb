// core/json.h — JSON as the admin API, its client and the answer reader need it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/result.h"

namespace outboxd {

struct TreeNode;

// A parsed value; cheap to copy (shares its document). Reading a member that is absent or of another type
// gives the fallback. Numbers of any size and precision are kept as they were written. Nesting is bounded: a
// line of the greatest depth inside an answer of the admin API is read. Not for the producer's lines on the
// hot path: those are scanned (core/object_scan.h) and their bytes carried.
class JsonValue {
 public:
  // Strict RFC 8259; invalid UTF-8 and NUL bytes are errors (kInvalid).
  static Result<JsonValue> Parse(std::string_view text);

  JsonValue();  // null
  bool IsNull() const;
  bool IsObject() const;
  bool IsArray() const;
  bool IsString() const;
  bool IsNumber() const;
  bool IsBool() const;
  // Null when absent or not an object; the first of equal names.
  JsonValue operator[](std::string_view name) const;
  bool Has(std::string_view name) const;
  std::vector<JsonValue> Items() const;  // empty when not an array
  std::vector<std::pair<std::string, JsonValue>> Members() const;
  std::string String(std::string_view fallback = {}) const;
  // The fallback too when it has a fraction or does not fit.
  std::int64_t Int(std::int64_t fallback = 0) const;
  double Number(double fallback = 0) const;  // the fallback too when it does not fit
  bool Bool(bool fallback = false) const;
  // The value's own bytes without the white space between its tokens: numbers, escapes and the order of names
  // stay as written.
  std::string ToText() const;

 private:
  struct Document;
  JsonValue(std::shared_ptr<const Document> document, const TreeNode* node);
  std::string_view Raw() const;
  // Calls visit(child) for members or elements in their order, until it returns false.
  template <typename Visit>
  void ForEachChild(Visit visit) const;
  const TreeNode* FindMember(std::string_view name) const;

  std::shared_ptr<const Document> document_;
  const TreeNode* node_ = nullptr;  // nullptr: null
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
  JsonWriter& Number(double number);  // the shortest text that reads back the same; null when not finite
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

}  // namespace outboxd
