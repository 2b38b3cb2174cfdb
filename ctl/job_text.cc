#include "ctl/job_text.h"

#include <string_view>
#include <utility>

#include "core/json.h"
#include "core/request.h"
#include "ctl/format.h"

namespace outboxd {
namespace {

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
  const Result<std::string> checked = CheckedJson(flag, value);
  if (!checked) return tl::unexpected(checked.error());
  writer.Raw(*checked);
  return {};
}

// The object of --attributes / --data, or one made of its fields; nothing when neither is given.
Result<void> WriteObject(JsonWriter& writer, std::string_view member, const JobFlags& flags) {
  const std::string flag = "--" + std::string(member);
  const std::string field_flag = member == "data" ? "--data-field" : "--attribute";
  if (flags.object && !flags.fields.empty())
    return Bad(flag, "give " + flag + " or " + field_flag + ", not both");
  if (flags.object) {
    const Result<std::string> object = CheckedJson(flag, *flags.object);
    if (!object) return tl::unexpected(object.error());
    if (!object->starts_with('{')) return Bad(flag, "must be a JSON object");
    writer.Key(member).Raw(*object);
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
  const Result<Milliseconds> duration = ParseDuration(text);
  if (!duration) return Bad(flag, duration.error().message);
  return duration->count();
}

Result<void> WriteRetry(JsonWriter& writer, const JobFlags& flags) {
  if (!flags.max_retries && !flags.retry_delay && !flags.exponential && !flags.all_errors) return {};
  writer.Key("retry").Object();
  if (flags.max_retries) writer.Key("max_retries").Int(*flags.max_retries);
  if (flags.retry_delay) {
    const Result<std::int64_t> delay = InMilliseconds("--retry-delay", *flags.retry_delay);
    if (!delay) return tl::unexpected(delay.error());
    writer.Key("delay_ms").Int(*delay);
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
  const Result<std::string> body = CheckedJson("--body-json", *flags.body_json);
  if (!body) return tl::unexpected(body.error());
  if (body->starts_with('"'))
    return Bad("--body-json",
               "a JSON string would be sent without its quotes; give it to --body as it shall be sent");
  writer.Key("body").Raw(*body);
  return {};
}

Result<void> WriteRaw(JsonWriter& writer, const JobFlags& flags) {
  WriteText(writer, "method", flags.method);
  WriteText(writer, "path", flags.path);
  RETURN_IF_ERROR(WritePairs(writer, "query", "--query", flags.query));
  RETURN_IF_ERROR(WritePairs(writer, "headers", "--header", flags.headers));
  RETURN_IF_ERROR(WriteBody(writer, flags));
  RETURN_IF_ERROR(WritePairs(writer, "form", "--form", flags.form));
  RETURN_IF_ERROR(WriteFiles(writer, flags.files));
  WriteText(writer, "response_type", flags.response_type);
  if (flags.timeout) {
    const Result<std::int64_t> timeout = InMilliseconds("--timeout", *flags.timeout);
    if (!timeout) return tl::unexpected(timeout.error());
    writer.Key("timeout_ms").Int(*timeout);
  }
  RETURN_IF_ERROR(WriteRetry(writer, flags));
  if (flags.debug) writer.Key("debug").Bool(true);
  return {};
}

void WriteSegment(JsonWriter& writer, const JobFlags& flags) {
  WriteText(writer, "segment_id", flags.segment_id);
  writer.Key("ids").Array();
  for (const std::string& id : flags.ids) writer.String(id);
  writer.EndArray();
  WriteText(writer, "id_type", flags.id_type);
}

void WriteMetric(JsonWriter& writer, const JobFlags& flags) {
  WriteText(writer, "delivery_id", flags.delivery_id);
  WriteText(writer, "metric", flags.metric);
  WriteText(writer, "recipient", flags.recipient);
  WriteText(writer, "reason", flags.reason);
  WriteText(writer, "href", flags.href);
}

Result<void> WriteOwnMembers(JsonWriter& writer, const JobFlags& flags) {
  const std::string& type = flags.type;
  if (type == "identify") return WriteObject(writer, "attributes", flags);
  if (type == "track" || type == "pageview" || type == "form") {
    WriteText(writer, "name", flags.name);
    WriteText(writer, "url", flags.url);
    WriteText(writer, "form_id", flags.form_id);
    return WriteObject(writer, "data", flags);
  }
  if (type == "raw") return WriteRaw(writer, flags);
  if (type == "add_device") return WriteDevice(writer, flags);
  if (type == "delete_device") WriteText(writer, "device_id", flags.device_id);
  if (type == "add_to_segment" || type == "remove_from_segment") WriteSegment(writer, flags);
  if (type == "metric") WriteMetric(writer, flags);
  RETURN_IF_ERROR(WritePerson(writer, "primary", flags.primary));
  return WritePerson(writer, "secondary", flags.secondary);
}

}  // namespace

Result<std::string> BuildJobLine(const JobFlags& flags) {
  JsonWriter writer;
  writer.Object().Key("type").String(flags.type);
  WriteText(writer, "connection", flags.connection);
  WriteText(writer, "id", flags.id);
  WriteText(writer, "anonymous_id", flags.anonymous_id);
  if (Result<void> written = WriteOwnMembers(writer, flags); !written) return tl::unexpected(written.error());
  WriteTime(writer, "timestamp", flags.timestamp);
  WriteText(writer, "event_id", flags.event_id);
  if (flags.max_age) {
    const Result<std::int64_t> age = InMilliseconds("--max-age", *flags.max_age);
    if (!age) return tl::unexpected(age.error());
    writer.Key("max_age").Int(*age / 1000);
  }
  WriteText(writer, "region", flags.region);
  WriteText(writer, "ref", flags.ref);
  return writer.EndObject().Take();
}

}  // namespace outboxd
