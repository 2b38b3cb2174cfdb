#include "core/job_schema.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/job.h"
#include "core/job_members.h"
#include "core/job_types.h"
#include "core/json.h"
#include "core/limits.h"
#include "core/names.h"

namespace outboxd {
namespace {

using members::Name;

// A fragment is what stands between the braces of a schema.
using Fragment = std::string;

constexpr std::string_view kEmptyArray = R"({"type":"array","maxItems":0})";  // as PHP writes an empty object
constexpr std::string_view kNotBlank = R"(,"pattern":"[^ \\t\\r\\n\\f\\v]")";
constexpr std::string_view kTokenBytes = "!#$%&'*+.^_`|~0-9A-Za-z-";
constexpr std::string_view kNoControl = R"([^\\u0000-\\u001f\\u007f])";
constexpr std::string_view kTextOrNull = R"({"type":["string","null"]})";
constexpr std::int64_t kLastSecond = 253'402'300'799;  // of the year 9999

std::string Quoted(std::string_view text) {
  return JsonWriter().String(text).Take();
}

Fragment Text(std::size_t least, std::size_t most) {
  return R"("type":"string","minLength":)" + std::to_string(least) + R"(,"maxLength":)" +
         std::to_string(most);
}

Fragment Whole(std::int64_t least, std::int64_t most) {
  return R"("type":"integer","minimum":)" + std::to_string(least) + R"(,"maximum":)" + std::to_string(most);
}

template <typename Texts>
Fragment OneOf(const Texts& texts) {
  JsonWriter values;
  values.Array();
  for (const std::string_view text : texts) values.String(text);
  return R"("enum":)" + values.EndArray().Take();
}

template <typename Enum>
Fragment OneOfNames() {
  std::array<std::string_view, Names<Enum>::kCount> texts;
  std::transform(kNames<Enum>.begin(), kNames<Enum>.end(), texts.begin(),
                 [](const auto& entry) { return entry.name; });
  return OneOf(texts);
}

std::string OrNull(std::string_view schema) {
  return R"({"anyOf":[)" + std::string(schema) + R"(,{"type":"null"}]})";
}

// An object that an empty array stands for as well.
Fragment Object(std::string_view rest) {
  return R"("anyOf":[{"type":"object")" + std::string(rest) + "}," + std::string(kEmptyArray) + "]";
}

// Of an object: `name` is there and not null.
std::string Has(std::string_view name) {
  return R"({"required":[)" + Quoted(name) + R"(],"properties":{)" + Quoted(name) +
         R"(:{"not":{"type":"null"}}}})";
}

Fragment IdentifierUpTo(std::size_t most) {
  return R"("type":["string","integer"],"minLength":1,"maxLength":)" + std::to_string(most) +
         std::string(kNotBlank) + R"(,"not":{"enum":[".",".."]})";
}

Fragment Identifier() {
  return IdentifierUpTo(limits::kCustomerIdBytes);
}

Fragment NameOfThing() {
  return Text(1, limits::kShortTextBytes) + std::string(kNotBlank) + R"(,"not":{"enum":[".",".."]})";
}

Fragment EventName() {
  return Text(1, limits::kEventNameBytes) + std::string(kNotBlank);
}

Fragment Time() {
  return R"("type":["number","string"],"minimum":0,"exclusiveMaximum":)" + std::to_string(kLastSecond + 1) +
         R"(,"pattern":"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ]")";
}

Fragment ShortText() {
  return Text(1, limits::kShortTextBytes);
}

Fragment Attributes() {
  return Object(R"(,"maxProperties":)" + std::to_string(limits::kAttributesPerIdentify) +
                R"(,"propertyNames":{"maxLength":)" + std::to_string(limits::kAttributeNameBytes) +
                R"(},"additionalProperties":{"maxLength":)" + std::to_string(limits::kAttributeValueBytes) +
                "}");
}

Fragment Data() {
  return Object("");
}

// Strings alone, of which exactly one names the person.
Fragment FormData() {
  const std::string person = OrNull("{" + Text(1, limits::kCustomerIdBytes) + std::string(kNotBlank) +
                                    R"(,"not":{"enum":[".",".."]}})");
  return R"("type":"object","properties":{"id":)" + person + R"(,"email":)" + person +
         R"(},"additionalProperties":)" + std::string(kTextOrNull) + R"(,"oneOf":[)" + Has("id") + "," +
         Has("email") + "]";
}

// Text by names that match `name`; a member that is null is absent, whatever it is called.
Fragment TextPairs(std::string_view name, std::string_view value) {
  return Object(R"(,"patternProperties":{"^)" + std::string(name) + R"(+$":)" + std::string(value) +
                R"(},"additionalProperties":{"type":"null"})");
}

Fragment Query() {
  return Object(R"(,"additionalProperties":)" + std::string(kTextOrNull));
}

Fragment Headers() {
  return TextPairs("[" + std::string(kTokenBytes) + "]",
                   R"({"type":["string","null"],"pattern":"^)" + std::string(kNoControl) + R"(*$"})");
}

Fragment Form() {
  return TextPairs(kNoControl, kTextOrNull);
}

Fragment Files() {
  const std::string name = OrNull(R"({"type":"string","pattern":"^)" + std::string(kNoControl) + R"(*$"})");
  return R"("type":"array","maxItems":)" + std::to_string(limits::kRawFiles) +
         R"(,"items":{"type":"object","properties":{"name":{"type":"string","pattern":"^)" +
         std::string(kNoControl) + R"(+$"},"filename":)" + name + R"(,"content":)" +
         std::string(kTextOrNull) + R"(,"content_base64":)" + std::string(kTextOrNull) +
         R"(},"required":["name"],"additionalProperties":{"type":"null"},"oneOf":[)" + Has("content") + "," +
         Has("content_base64") + "]}";
}

Fragment Method() {
  return R"("type":"string","pattern":"^[)" + std::string(kTokenBytes) + "]{1," +
         std::to_string(limits::kRawMethodBytes) + R"(}$","not":{"enum":["CONNECT","TRACE","TRACK","PRI"]})";
}

Fragment Path() {
  return R"("type":"string","maxLength":)" + std::to_string(limits::kRawPathBytes) +
         R"(,"pattern":"^/v[12]/[^#\\u0000-\\u001f\\u007f]*$")";
}

Fragment Retry() {
  const std::string flag = R"({"type":["boolean","null"]})";
  return Object(R"(,"properties":{"max_retries":)" + OrNull("{" + Whole(0, limits::kRawRetries) + "}") +
                R"(,"delay_ms":)" + OrNull("{" + Whole(0, limits::kRawDelayMs) + "}") + R"(,"exponential":)" +
                flag + R"(,"all_errors":)" + flag + R"(},"additionalProperties":{"type":"null"})");
}

Fragment Device() {
  return R"("type":"object","properties":{"id":{)" + NameOfThing() +
         R"(},"platform":{"enum":["ios","android"]},"last_used":)" + OrNull("{" + Time() + "}") +
         R"(,"attributes":)" + OrNull("{" + Object("") + "}") +
         R"(},"required":["id","platform"],"additionalProperties":{"type":"null"})";
}

Fragment Person() {
  constexpr std::size_t kPrefixBytes = 4;  // cio_, which is put before it
  const std::string identifier = OrNull("{" + Identifier() + "}");
  const std::string cio_id = OrNull("{" + IdentifierUpTo(limits::kCustomerIdBytes - kPrefixBytes) + "}");
  return R"("type":"object","properties":{"id":)" + identifier + R"(,"email":)" + identifier +
         R"(,"cio_id":)" + cio_id + R"(},"additionalProperties":{"type":"null"},"oneOf":[)" + Has("id") +
         "," + Has("email") + "," + Has("cio_id") + "]";
}

Fragment SegmentId() {
  return R"("type":["integer","string"],"minimum":0,"maximum":999999999999999999,"pattern":"^[0-9]{1,18}$")";
}

Fragment Ids() {
  return R"("type":"array","minItems":1,"maxItems":)" + std::to_string(limits::kSegmentIds) +
         R"(,"items":{)" + Identifier() + "}";
}

Fragment Request() {
  return R"("type":"object","properties":{"method":{"type":"string"},"target":{"type":"string",)"
         R"("pattern":"^/"},"body":{"type":["object","array","null"]},"content_type":{"type":["string","null"]},)"
         R"("credentials":{"enum":[false,null]}},"required":["method","target"],"additionalProperties":false)";
}

struct Shape {
  Name name;
  std::string_view about;  // for people who write the line in an editor
  Fragment (*schema)();
};

constexpr std::array<Shape, members::kCount> kShapes = {{
    {Name::kType, "what the job does", [] { return OneOfNames<JobType>(); }},
    {Name::kConnection, "the Customer.io workspace, by its name in the config; default unless given",
     [] { return Text(1, limits::kConnectionNameBytes); }},
    {Name::kId, "the customer: 42 and \"42\" are the same", Identifier},
    {Name::kAnonymousId, "instead of id: the event is anonymous", Identifier},
    {Name::kAttributes, "sent as they are written", Attributes},
    {Name::kName, "the event's name, 1 to 100 bytes", EventName},
    {Name::kData, "sent as it is written, up to 100,000 bytes", Data},
    {Name::kUrl, "URL or name of the page, 1 to 100 bytes", EventName},
    {Name::kTimestamp, "when it happened: Unix seconds or RFC 3339; the time of acceptance unless given",
     Time},
    {Name::kEventId, "a ULID of your own, by which Customer.io ignores a repetition",
     [] { return Fragment(R"("type":"string","pattern":"^[0-7][0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{25}$")"); }},
    {Name::kMaxAge, "seconds after which the job is dead instead of sent",
     [] { return Whole(1, limits::kMaxAgeSeconds); }},
    {Name::kRegion, "instead of the connection's", [] { return OneOfNames<Region>(); }},
    {Name::kRef, "comes back in the reply, and is kept with the job; up to 200 bytes",
     [] { return Text(0, limits::kRefBytes); }},
    {Name::kMethod, "any HTTP method", Method},
    {Name::kPath, "of the Track API, from /v1/ or /v2/ on", Path},
    {Name::kQuery, "appended to the path, escaped", Query},
    {Name::kHeaders, "of the request", Headers},
    {Name::kBody, "a string is sent as it is, any other value as JSON", [] { return Fragment(); }},
    {Name::kForm, "fields of a multipart form", Form},
    {Name::kFiles, "of a multipart form", Files},
    {Name::kResponseType, "how the answer is read; json unless given",
     [] { return OneOfNames<ResponseType>(); }},
    {Name::kTimeoutMs, "of one attempt", [] { return Whole(1, limits::kRawTimeoutMs); }},
    {Name::kRetry, "instead of the config's", Retry},
    {Name::kDebug, "whether request and answer are logged", [] { return Fragment(R"("type":"boolean")"); }},
    {Name::kDevice, "id is the push token; attributes of your own belong inside of attributes", Device},
    {Name::kDeviceId, "the push token", NameOfThing},
    {Name::kPrimary, "the person that stays", Person},
    {Name::kSecondary, "the person that is merged into it", Person},
    {Name::kFormId, "the form", Identifier},
    {Name::kSegmentId, "number of a manual segment", SegmentId},
    {Name::kIds, "the people, 1 to 1000", Ids},
    {Name::kIdType, "what ids are; id unless given",
     [] { return OneOf(std::array<std::string_view, 3>{"id", "email", "cio_id"}); }},
    {Name::kDeliveryId, "the delivery that is reported on", NameOfThing},
    {Name::kMetric, "what became of it", [] { return OneOf(members::kMetrics); }},
    {Name::kRecipient, "of the delivery", ShortText},
    {Name::kReason, "of a failure", ShortText},
    {Name::kHref, "the link that was clicked", [] { return Text(1, limits::kUrlBytes); }},
    {Name::kRequest, "a request of the Track API whole, instead of the type's own members", Request},
}};

constexpr bool EachMemberHasAShape() {
  for (std::size_t i = 0; i < kShapes.size(); ++i) {
    if (kShapes[i].name != static_cast<Name>(i)) return false;
  }
  return true;
}
static_assert(EachMemberHasAShape(), "in the order of Name, each member once");

// {"description":…, the fragment}
std::string Described(std::string_view about, const Fragment& fragment) {
  return R"({"description":)" + Quoted(about) + (fragment.empty() ? "" : ",") + fragment + "}";
}

std::string Reference(Name name) {
  return R"({"$ref":"#/definitions/member.)" + std::string(members::TextOf(name)) + R"("})";
}

// What a member of this type must hold.
std::string SchemaOf(const JobTypeRow& row, Name name) {
  if (row.type == JobType::kForm && name == Name::kData)
    return Described("strings; exactly one of id and email names the person", FormData());
  return Reference(name);
}

bool Requires(const JobTypeRow& row, Name name) {
  return std::any_of(row.required.begin(), row.required.end(),
                     [name](const Need& need) { return need.member == name && need.or_else == name; });
}

// The names of a type's lines with their schemas. A member that is null is absent, but for a body.
std::string Properties(const JobTypeRow& row, members::Set allowed) {
  JsonWriter properties;
  properties.Object();
  for (const Shape& shape : kShapes) {
    if (!allowed.Has(shape.name)) {
      if (shape.name == Name::kBody) properties.Key(members::TextOf(shape.name)).Bool(false);
      continue;
    }
    const std::string schema = SchemaOf(row, shape.name);
    const bool may_be_null = shape.name != Name::kType && !Requires(row, shape.name);
    properties.Key(members::TextOf(shape.name)).Raw(may_be_null ? OrNull(schema) : schema);
  }
  return properties.EndObject().Take();
}

// Of two of which either will do: one must be there, and not both.
Fragment Either(const JobTypeRow& row, const Need& need) {
  const std::string one = Has(members::TextOf(need.member));
  const std::string other = Has(members::TextOf(need.or_else));
  Fragment either = R"("anyOf":[)" + one + "," + other;
  if (row.goes_without_customer != nullptr) {
    either += R"(,{"required":["data"],"properties":{"data":{"type":"object","required":["recipient"],)"
              R"("properties":{"recipient":{"type":"string","minLength":1}}}}})";
  }
  return either + R"(],"not":{"allOf":[)" + one + "," + other + "]}";
}

// A body, or form fields and files.
constexpr std::string_view kBodyOrForm =
    R"("not":{"required":["body"],"anyOf":[{"required":["form"],"properties":{"form":{"type":"object",)"
    R"("minProperties":1,"not":{"additionalProperties":{"type":"null"}}}}},)"
    R"({"required":["files"],"properties":{"files":{"type":"array","minItems":1}}}]})";

Fragment OwnMembers(const JobTypeRow& row) {
  JsonWriter required;
  required.Array();
  Fragment more;
  for (const Need& need : row.required) {
    if (need.member == Name::kType) continue;  // a place to fill
    if (need.or_else == need.member) {
      required.String(members::TextOf(need.member));
    } else {
      more += "," + Either(row, need);
    }
  }
  if (row.type == JobType::kRaw) more.append(",").append(kBodyOrForm);
  return R"("required":)" + required.EndArray().Take() + R"(,"properties":)" +
         Properties(row, row.Allowed()) + R"(,"additionalProperties":{"type":"null"})" + more;
}

// Lines of libraries have their request whole, and nothing of the type's own.
std::string SchemaOf(const JobTypeRow& row) {
  return Described(row.help, R"("if":)" + Has("request") + R"(,"then":{"properties":)" +
                                 Properties(row, members::kOfEveryType) +
                                 R"(,"additionalProperties":{"type":"null"}},"else":{)" + OwnMembers(row) +
                                 "}");
}

std::string Definitions() {
  JsonWriter definitions;
  definitions.Object();
  for (const JobTypeRow& row : kJobTypes) definitions.Key("job." + std::string(row.name)).Raw(SchemaOf(row));
  for (const Shape& shape : kShapes) {
    definitions.Key("member." + std::string(members::TextOf(shape.name)))
        .Raw(Described(shape.about, shape.schema()));
  }
  return definitions.EndObject().Take();
}

std::string Choices() {
  JsonWriter choices;
  choices.Array();
  for (const JobTypeRow& row : kJobTypes) {
    choices.Raw(R"({"if":{"required":["type"],"properties":{"type":{"const":)" + Quoted(row.name) +
                R"(}}},"then":{"$ref":"#/definitions/job.)" + std::string(row.name) + R"("}})");
  }
  return choices.EndArray().Take();
}

std::string MemberNames() {
  std::array<std::string_view, members::kCount> names;
  std::transform(kShapes.begin(), kShapes.end(), names.begin(),
                 [](const Shape& shape) { return members::TextOf(shape.name); });
  return "{" + OneOf(names) + "}";
}

}  // namespace

std::string JobLineSchema() {
  return R"({"$schema":"http://json-schema.org/draft-07/schema#","title":"A job line of outboxd",)"
         R"("description":"One line of the producer protocol. Lengths are characters here, bytes in outboxd.",)"
         R"("type":"object","required":["type"],"propertyNames":)" +
         MemberNames() + R"(,"properties":{"type":)" + Reference(Name::kType) + R"(},"allOf":)" + Choices() +
         R"(,"definitions":)" + Definitions() + "}";
}

}  // namespace outboxd
