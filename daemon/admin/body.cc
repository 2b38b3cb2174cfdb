#include "daemon/admin/body.h"

#include <algorithm>
#include <filesystem>
#include <initializer_list>
#include <optional>
#include <string_view>
#include <utility>

#include "core/json.h"
#include "core/result.h"
#include "core/time.h"
#include "daemon/admin/filter.h"
#include "storage/filter.h"

namespace outboxd {
namespace {

// A body's object; no body is an empty one. Unknown members are errors: a misspelt one must not change what a
// command means.
Result<JsonValue> ParseBody(std::string_view body, std::initializer_list<std::string_view> known) {
  Result<JsonValue> object = JsonValue::Parse(body.empty() ? "{}" : body);
  if (!object) return Invalid({}, "the body is not JSON: " + object.error().message);
  if (!object->IsObject()) return Invalid({}, "the body must be a JSON object");
  for (const auto& [name, value] : object->Members()) {
    if (std::find(known.begin(), known.end(), name) == known.end()) return Invalid(name, "is unknown here");
  }
  return object;
}

Result<std::string> TextMember(const JsonValue& object, std::string_view name) {
  const JsonValue value = object[name];
  if (!value.IsString() || value.String().empty()) return Invalid(name, "must be text");
  return value.String();
}

Result<bool> FlagMember(const JsonValue& object, std::string_view name) {
  if (!object.Has(name)) return false;
  if (!object[name].IsBool()) return Invalid(name, "must be true or false");
  return object[name].Bool();
}

}  // namespace

Result<DeadScope> ParseDeadScope(std::string_view body, Timestamp now) {
  ASSIGN_OR_RETURN(const JsonValue object, ParseBody(body, {"filter", "all", "dry_run"}));
  ASSIGN_OR_RETURN(const bool all, FlagMember(object, "all"));
  ASSIGN_OR_RETURN(const bool dry_run, FlagMember(object, "dry_run"));
  ASSIGN_OR_RETURN(const NamedValues values, ParseFilterObject(object["filter"]));
  ASSIGN_OR_RETURN(DeadFilter filter, ParseDeadFilter(values, now));
  if (filter.MatchesAll() && !all)
    return Invalid("filter", "an empty filter means every dead letter: say so with \"all\":true");
  return DeadScope{std::move(filter), dry_run ? Extent::kCountOnly : Extent::kAll};
}

Result<ForgetScope> ParseForgetScope(std::string_view body) {
  ASSIGN_OR_RETURN(const JsonValue object, ParseBody(body, {"customer", "connection"}));
  ASSIGN_OR_RETURN(std::string customer, TextMember(object, "customer"));
  ForgetScope scope{std::move(customer), std::nullopt};
  if (!object.Has("connection")) return scope;
  ASSIGN_OR_RETURN(std::string connection, TextMember(object, "connection"));
  scope.connection = std::move(connection);
  return scope;
}

Result<std::filesystem::path> ParseBackupPath(std::string_view body) {
  ASSIGN_OR_RETURN(const JsonValue object, ParseBody(body, {"path"}));
  ASSIGN_OR_RETURN(const std::string path, TextMember(object, "path"));
  if (path.front() != '/' || path.find('\0') != std::string::npos)
    return Invalid("path", "must be an absolute path");
  return std::filesystem::path(path);
}

}  // namespace outboxd
