#include "ctl/job_text.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/encoding.h"
#include "core/job_members.h"
#include "core/job_types.h"
#include "core/json.h"
#include "core/result.h"
#include "core/time.h"
#include "ctl/format.h"

namespace outboxd {
namespace {

using members::Name;

Failure Bad(std::string flag, std::string message) {
  return Fail(ErrorKind::kInvalid, std::move(message), std::move(flag));
}

void WriteText(JsonWriter& writer, std::string_view member, const std::optional<std::string>& value) {
  if (value) writer.Key(member).String(*value);
}

bool IsDigits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

// Unix seconds stay a number, any other text is the daemon's to judge.
void WriteTime(JsonWriter& writer, std::string_view member, const std::optional<std::string>& value) {
  if (!value) return;
  writer.Key(member);
  IsDigits(*value) ? writer.Raw(*value) : writer.String(*value);
}

Result<std::string> CheckedJson(const std::string& flag, const std::string& text) {
  const Result<JsonValue> value = JsonValue::Parse(text);
  if (!value) return Bad(flag, "is not JSON: " + value.error().message);
  return value->ToText();
}

Result<void> WriteField(JsonWriter& writer, const std::string& flag, const std::string& field) {
  const std::size_t equals = field.find('=');
  if (equals == std::string::npos || equals == 0)
    return Bad(flag, "\"" + field + "\" must be name=text or name:=json");
  const bool json = field[equals - 1] == ':';
  const std::string name = field.substr(0, json ? equals - 1 : equals);
  const std::string value = field.substr(equals + 1);
  if (name.empty()) return Bad(flag, "\"" + field + "\" has no name before the sign");
  writer.Key(name);
  if (!json) {
    writer.String(value);
    return {};
  }
  ASSIGN_OR_RETURN(const std::string checked, CheckedJson(flag, value));
  writer.Raw(checked);
  return {};
}

// The object of --attributes / --data, or one made of its fields; nothing when neither is given.
Result<void> WriteObject(JsonWriter& writer, std::string_view member, const JobFlags& flags) {
  const std::string flag = "--" + std::string(member);
  const std::string field_flag = member == "data" ? "--data-field" : "--attribute";
  if (flags.object && !flags.fields.empty())
    return Bad(flag, "give " + flag + " or " + field_flag + ", not both");
  if (flags.object) {
    ASSIGN_OR_RETURN(const std::string object, CheckedJson(flag, *flags.object));
    if (!object.starts_with('{')) return Bad(flag, "must be a JSON object");
    writer.Key(member).Raw(object);
  } else if (!flags.fields.empty()) {
    writer.Key(member).Object();
    for (const std::string& field : flags.fields) {
      RETURN_IF_ERROR(WriteField(writer, field_flag, field));
    }
    writer.EndObject();
  }
  return {};
}

// name=text only: headers and query parameters are texts, and a name may end in ":" there.
Result<void> WritePairs(JsonWriter& writer, std::string_view member, const std::string& flag,
                        const std::vector<std::string>& pairs) {
  if (pairs.empty()) return {};
  writer.Key(member).Object();
  for (const std::string& pair : pairs) {
    const std::size_t equals = pair.find('=');
    if (equals == std::string::npos || equals == 0) return Bad(flag, "\"" + pair + "\" must be name=text");
    writer.Key(pair.substr(0, equals)).String(pair.substr(equals + 1));
  }
  writer.EndObject();
  return {};
}

Result<void> WritePerson(JsonWriter& writer, std::string_view member,
                         const std::optional<std::string>& person) {
  if (!person) return {};
  const std::size_t equals = person->find('=');
  const std::string kind = person->substr(0, equals);
  if (equals == std::string::npos || (kind != "id" && kind != "email" && kind != "cio_id")) {
    return Bad("--" + std::string(member), "must be id=…, email=… or cio_id=…");
  }
  writer.Key(member).Object().Key(kind).String(person->substr(equals + 1)).EndObject();
  return {};
}

Result<void> WriteDevice(JsonWriter& writer, const JobFlags& flags) {
  writer.Key("device").Object();
  WriteText(writer, "id", flags.device_id);
  WriteText(writer, "platform", flags.platform);
  WriteTime(writer, "last_used", flags.last_used);
  RETURN_IF_ERROR(WriteObject(writer, "attributes", flags));
  writer.EndObject();
  return {};
}

Result<void> WriteFiles(JsonWriter& writer, const std::vector<FileFlag>& files) {
  if (files.empty()) return {};
  writer.Key("files").Array();
  for (const FileFlag& file : files) {
    writer.Object().Key("name").String(file.name).Key("filename").String(file.filename);
    writer.Key("content_base64").String(Base64Encode(file.content)).EndObject();
  }
  writer.EndArray();
  return {};
}

Result<std::int64_t> InMilliseconds(const std::string& flag, const std::string& text) {
  const Result<Milliseconds> duration = ReadDuration(text);
  if (!duration) return Bad(flag, duration.error().message);
  return duration->count();
}

Result<void> WriteRetry(JsonWriter& writer, const JobFlags& flags) {
  if (!flags.max_retries && !flags.retry_delay && !flags.exponential && !flags.all_errors) return {};
  writer.Key("retry").Object();
  if (flags.max_retries) writer.Key("max_retries").Int(*flags.max_retries);
  if (flags.retry_delay) {
    ASSIGN_OR_RETURN(const std::int64_t delay, InMilliseconds("--retry-delay", *flags.retry_delay));
    writer.Key("delay_ms").Int(delay);
  }
  if (flags.exponential) writer.Key("exponential").Bool(true);
  if (flags.all_errors) writer.Key("all_errors").Bool(true);
  writer.EndObject();
  return {};
}

Result<void> WriteBody(JsonWriter& writer, const JobFlags& flags) {
  if (flags.body && flags.body_json) return Bad("--body", "give --body or --body-json, not both");
  WriteText(writer, "body", flags.body);
  if (!flags.body_json) return {};
  ASSIGN_OR_RETURN(const std::string body, CheckedJson("--body-json", *flags.body_json));
  if (body.starts_with('"'))
    return Bad("--body-json",
               "a JSON string would be sent without its quotes; give it to --body as it shall be sent");
  writer.Key("body").Raw(body);
  return {};
}

Result<void> WriteTimeout(JsonWriter& writer, const JobFlags& flags) {
  if (!flags.timeout) return {};
  ASSIGN_OR_RETURN(const std::int64_t timeout, InMilliseconds("--timeout", *flags.timeout));
  writer.Key("timeout_ms").Int(timeout);
  return {};
}

Result<void> WriteMaxAge(JsonWriter& writer, const JobFlags& flags) {
  if (!flags.max_age) return {};
  ASSIGN_OR_RETURN(const std::int64_t age_ms, InMilliseconds("--max-age", *flags.max_age));
  writer.Key("max_age").Int(age_ms / 1000);
  return {};
}

Result<void> WriteIds(JsonWriter& writer, const JobFlags& flags) {
  writer.Key("ids").Array();
  for (const std::string& id : flags.ids) writer.String(id);
  writer.EndArray();
  return {};
}

Result<void> WriteDebug(JsonWriter& writer, const JobFlags& flags) {
  if (flags.debug) writer.Key("debug").Bool(true);
  return {};
}

using Write = Result<void> (*)(JsonWriter& writer, const JobFlags& flags);

// A member whose value is the flag's text.
template <Name kName, std::optional<std::string> JobFlags::* kFlag>
Result<void> WriteAsText(JsonWriter& writer, const JobFlags& flags) {
  WriteText(writer, members::TextOf(kName), flags.*kFlag);
  return {};
}

struct MemberWriter {
  Name member;
  Write write;
};

template <Name kName, std::optional<std::string> JobFlags::* kFlag>
constexpr MemberWriter AsText() {
  return {kName, WriteAsText<kName, kFlag>};
}

// In the order of the line.
constexpr MemberWriter kWriters[] = {
    AsText<Name::kConnection, &JobFlags::connection>(),
    AsText<Name::kId, &JobFlags::id>(),
    AsText<Name::kAnonymousId, &JobFlags::anonymous_id>(),
    AsText<Name::kName, &JobFlags::name>(),
    AsText<Name::kUrl, &JobFlags::url>(),
    AsText<Name::kFormId, &JobFlags::form_id>(),
    {Name::kAttributes,
     [](JsonWriter& writer, const JobFlags& flags) { return WriteObject(writer, "attributes", flags); }},
    {Name::kData,
     [](JsonWriter& writer, const JobFlags& flags) { return WriteObject(writer, "data", flags); }},
    AsText<Name::kMethod, &JobFlags::method>(),
    AsText<Name::kPath, &JobFlags::path>(),
    {Name::kQuery, [](JsonWriter& writer,
                      const JobFlags& flags) { return WritePairs(writer, "query", "--query", flags.query); }},
    {Name::kHeaders,
     [](JsonWriter& writer, const JobFlags& flags) {
       return WritePairs(writer, "headers", "--header", flags.headers);
     }},
    {Name::kBody, WriteBody},
    {Name::kForm, [](JsonWriter& writer,
                     const JobFlags& flags) { return WritePairs(writer, "form", "--form", flags.form); }},
    {Name::kFiles, [](JsonWriter& writer, const JobFlags& flags) { return WriteFiles(writer, flags.files); }},
    AsText<Name::kResponseType, &JobFlags::response_type>(),
    {Name::kTimeoutMs, WriteTimeout},
    {Name::kRetry, WriteRetry},
    {Name::kDebug, WriteDebug},
    {Name::kDevice, WriteDevice},
    AsText<Name::kDeviceId, &JobFlags::device_id>(),
    AsText<Name::kSegmentId, &JobFlags::segment_id>(),
    {Name::kIds, WriteIds},
    AsText<Name::kIdType, &JobFlags::id_type>(),
    AsText<Name::kDeliveryId, &JobFlags::delivery_id>(),
    AsText<Name::kMetric, &JobFlags::metric>(),
    AsText<Name::kRecipient, &JobFlags::recipient>(),
    AsText<Name::kReason, &JobFlags::reason>(),
    AsText<Name::kHref, &JobFlags::href>(),
    {Name::kPrimary,
     [](JsonWriter& writer, const JobFlags& flags) { return WritePerson(writer, "primary", flags.primary); }},
    {Name::kSecondary,
     [](JsonWriter& writer, const JobFlags& flags) {
       return WritePerson(writer, "secondary", flags.secondary);
     }},
    {Name::kTimestamp,
     [](JsonWriter& writer, const JobFlags& flags) {
       WriteTime(writer, "timestamp", flags.timestamp);
       return Result<void>();
     }},
    AsText<Name::kEventId, &JobFlags::event_id>(),
    {Name::kMaxAge, WriteMaxAge},
    AsText<Name::kRegion, &JobFlags::region>(),
    AsText<Name::kRef, &JobFlags::ref>(),
};

constexpr bool EachMemberHasAWriter() {
  members::Set covered = {Name::kType, Name::kRequest};  // written first; lines of libraries alone
  for (const MemberWriter& row : kWriters) covered.Add(row.member);
  for (const JobTypeRow& row : kJobTypes) {
    if (!row.Allowed().Without(covered).IsEmpty()) return false;
  }
  return true;
}
static_assert(EachMemberHasAWriter(), "each member of a job type can be written into a line");

}  // namespace

Result<std::string> BuildJobLine(const JobFlags& flags) {
  const JobTypeRow& row = RowOf(flags.type.value());
  const members::Set allowed = row.Allowed();
  JsonWriter writer;
  writer.Object().Key("type").String(row.name);
  for (const auto& [member, write] : kWriters) {
    if (!allowed.Has(member)) continue;
    RETURN_IF_ERROR(write(writer, flags));
  }
  return writer.EndObject().Take();
}

}  // namespace outboxd
