#include "daemon/admin/body.h"

#include <algorithm>
#include <filesystem>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/json.h"
#include "core/object_scan.h"
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

Result<AmendScope> ParseAmendScope(std::string_view body) {
  ASSIGN_OR_RETURN(const JsonValue object, ParseBody(body, {"line", "event_id"}));
  AmendScope scope;
  const std::string text(body);
  std::vector<Member> members;
  static_cast<void>(ScanMembers(text, members));  // it was parsed
  for (const Member& member : members) {
    if (member.key == "line" && member.kind == ValueKind::kObject)
      scope.line = text.substr(member.raw.offset, member.raw.length);
  }
  if (scope.line.empty()) return Invalid("line", "must be the corrected job, a JSON object");
  std::replace_if(
      scope.line.begin(), scope.line.end(), [](char byte) { return byte == '\n' || byte == '\r'; }, ' ');
  if (!object.Has("event_id")) return scope;
  const std::string& choice = object["event_id"].String();
  if (choice != "same" && choice != "new") return Invalid("event_id", "must be \"same\" or \"new\"");
  scope.event_id = choice == "same" ? EventIdChoice::kSame : EventIdChoice::kNew;
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
