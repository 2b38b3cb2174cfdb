#include "ctl/job_flags.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "core/job_members.h"
#include "core/job_types.h"
#include "ctl/job_text.h"

namespace outboxd {
namespace {

using members::Name;

// The flags of one member, on their way to the verb of a type.
struct Adder {
  CLI::App& verb;
  const JobTypeRow& row;
  JobFlags& flags;
  std::vector<std::string>& file_paths;
  bool is_required;  // the member is

  void Text(const std::string& flag, std::optional<std::string>& value, const std::string& type,
            const std::string& help) const {
    verb.add_option(flag, value, help)->type_name(type)->required(is_required);
  }
  void OneOf(const std::string& flag, std::optional<std::string>& value, const std::string& help,
             const std::vector<std::string>& values) const {
    verb.add_option(flag, value, help)->check(CLI::IsMember(values))->required(is_required);
  }
  void Many(const std::string& flag, std::vector<std::string>& values, const std::string& type,
            const std::string& help) const {
    verb.add_option(flag, values, help)->type_name(type)->allow_extra_args(false);
  }
};

bool Requires(const JobTypeRow& row, Name name) {
  return std::any_of(row.required.begin(), row.required.end(),
                     [name](const Need& need) { return need.member == name; });
}

bool RequiresNothingElse(const JobTypeRow& row, Name name) {
  return std::any_of(row.required.begin(), row.required.end(),
                     [name](const Need& need) { return need.member == name && need.or_else == name; });
}

void AddId(const Adder& add) {
  add.Text("--id", add.flags.id, "ID",
           Requires(add.row, Name::kId)
               ? "Customer"
               : "Customer whose order this request keeps (default: the one in the path)");
}

void AddAttributes(const Adder& add) {
  Adder optional = add;
  optional.is_required = false;  // either flag will do
  optional.Text("--attributes", add.flags.object, "JSON",
                "Attributes, a JSON object; @FILE reads it from a file");
  add.Many("--attribute", add.flags.fields, "NAME=TEXT",
           "One attribute; NAME:=JSON for other values than strings");
}

void AddData(const Adder& add) {
  Adder optional = add;
  optional.is_required = false;  // either flag will do
  optional.Text("--data", add.flags.object, "JSON", "Data, a JSON object; @FILE reads it from a file");
  add.Many("--data-field", add.flags.fields, "NAME=TEXT",
           "One member of the data; NAME:=JSON for other values than strings");
}

void AddDevice(const Adder& add) {
  add.Text("--device-id", add.flags.device_id, "ID", "Device token");
  add.OneOf("--platform", add.flags.platform, "Platform", {"ios", "android"});
  add.verb.add_option("--last-used", add.flags.last_used, "Unix seconds")->type_name("TIME");
  AddAttributes(add);
}

void AddIds(const Adder& add) {
  add.verb.add_option("--id,--ids", add.flags.ids, "One person; give it up to 1000 times")
      ->type_name("ID")
      ->allow_extra_args(false)
      ->required(add.is_required);
}

void AddBody(const Adder& add) {
  add.Text("--body", add.flags.body, "TEXT", "Body, sent as it is");
  add.Text("--body-json", add.flags.body_json, "JSON", "Body, a JSON value; @FILE reads it from a file");
}

void AddRetry(const Adder& add) {
  add.verb.add_option("--max-retries", add.flags.max_retries, "Own retry rule: attempts after the first")
      ->type_name("COUNT");
  add.Text("--retry-delay", add.flags.retry_delay, "DURATION", "Own retry rule: wait between attempts");
  add.verb.add_flag("--exponential", add.flags.exponential, "Own retry rule: the delay doubles each time");
  add.verb.add_flag("--all-errors", add.flags.all_errors, "Own retry rule: repeat after any error");
}

struct MemberFlags {
  Name member;
  void (*add)(const Adder& add);
};

// In the order of --help.
constexpr MemberFlags kFlags[] = {
    {Name::kMethod,
     [](const Adder& add) { add.Text("--method", add.flags.method, "METHOD", "HTTP method"); }},
    {Name::kPath, [](const Adder& add) { add.Text("--path", add.flags.path, "PATH", "/v1/… or /v2/…"); }},
    {Name::kName, [](const Adder& add) { add.Text("--name", add.flags.name, "NAME", "Name of the event"); }},
    {Name::kUrl,
     [](const Adder& add) { add.Text("--url", add.flags.url, "URL", "URL or name of the page"); }},
    {Name::kFormId, [](const Adder& add) { add.Text("--form-id", add.flags.form_id, "ID", "Form"); }},
    {Name::kSegmentId,
     [](const Adder& add) { add.Text("--segment-id", add.flags.segment_id, "NUMBER", "Manual segment"); }},
    {Name::kDeliveryId,
     [](const Adder& add) {
       add.Text("--delivery-id", add.flags.delivery_id, "ID", "Delivery that is reported on");
     }},
    {Name::kMetric,
     [](const Adder& add) {
       add.OneOf("--metric", add.flags.metric, "What became of it",
                 {members::kMetrics.begin(), members::kMetrics.end()});
     }},
    {Name::kPrimary,
     [](const Adder& add) {
       add.Text("--primary", add.flags.primary, "KIND=ID", "Person that stays: id=…, email=… or cio_id=…");
     }},
    {Name::kSecondary,
     [](const Adder& add) {
       add.Text("--secondary", add.flags.secondary, "KIND=ID", "Person merged into it");
     }},
    {Name::kId, AddId},
    {Name::kAnonymousId,
     [](const Adder& add) {
       add.Text("--anonymous-id", add.flags.anonymous_id, "ID", "Instead of --id: an anonymous event");
     }},
    {Name::kIds, AddIds},
    {Name::kIdType,
     [](const Adder& add) {
       add.OneOf("--id-type", add.flags.id_type, "What the ids are", {"id", "email", "cio_id"});
     }},
    {Name::kDeviceId,
     [](const Adder& add) { add.Text("--device-id", add.flags.device_id, "ID", "Device token"); }},
    {Name::kDevice, AddDevice},
    {Name::kAttributes, AddAttributes},
    {Name::kData, AddData},
    {Name::kRecipient,
     [](const Adder& add) { add.Text("--recipient", add.flags.recipient, "TEXT", "Recipient"); }},
    {Name::kReason,
     [](const Adder& add) { add.Text("--reason", add.flags.reason, "TEXT", "Reason of a failure"); }},
    {Name::kHref,
     [](const Adder& add) { add.Text("--href", add.flags.href, "URL", "Link that was clicked"); }},
    {Name::kTimestamp,
     [](const Adder& add) {
       add.Text("--timestamp", add.flags.timestamp, "TIME",
                "When it happened: Unix seconds or RFC 3339 (default: now)");
     }},
    {Name::kEventId,
     [](const Adder& add) {
       add.Text("--event-id", add.flags.event_id, "ULID", "Your own ULID: a repeated one takes effect once");
     }},
    {Name::kQuery,
     [](const Adder& add) { add.Many("--query", add.flags.query, "NAME=TEXT", "One query parameter"); }},
    {Name::kHeaders,
     [](const Adder& add) { add.Many("--header", add.flags.headers, "NAME=TEXT", "One header"); }},
    {Name::kBody, AddBody},
    {Name::kForm,
     [](const Adder& add) {
       add.Many("--form", add.flags.form, "NAME=TEXT", "One field of a multipart form");
     }},
    {Name::kFiles,
     [](const Adder& add) {
       add.Many("--file", add.file_paths, "NAME=PATH", "One file of a multipart form");
     }},
    {Name::kResponseType,
     [](const Adder& add) {
       add.OneOf("--response-type", add.flags.response_type, "How the answer is read",
                 {"json", "text", "binary"});
     }},
    {Name::kTimeoutMs,
     [](const Adder& add) {
       add.Text("--timeout", add.flags.timeout, "DURATION", "Total time of one attempt");
     }},
    {Name::kRetry, AddRetry},
    {Name::kDebug,
     [](const Adder& add) {
       add.verb.add_flag("--debug", add.flags.debug, "Log request and answer (without credentials)");
     }},
    {Name::kConnection,
     [](const Adder& add) {
       add.Text("--connection", add.flags.connection, "CONNECTION",
                "Connection to send by (default: default)");
     }},
    {Name::kMaxAge,
     [](const Adder& add) {
       add.Text("--max-age", add.flags.max_age, "DURATION",
                "Give up (dead letter \"expired\") when not delivered after this time");
     }},
    {Name::kRegion,
     [](const Adder& add) {
       add.OneOf("--region", add.flags.region, "Region of this job, instead of its connection's",
                 {"us", "eu"});
     }},
    {Name::kRef,
     [](const Adder& add) {
       add.Text("--ref", add.flags.ref, "TEXT",
                "Your own reference, echoed in the reply and kept with the job");
     }},
};

constexpr bool EachMemberHasFlags() {
  members::Set covered = {Name::kType, Name::kRequest};  // the verb itself; lines of libraries alone
  for (const MemberFlags& row : kFlags) covered.Add(row.member);
  for (const JobTypeRow& row : kJobTypes) {
    if (!row.Allowed().Without(covered).IsEmpty()) return false;
  }
  return true;
}
static_assert(EachMemberHasFlags(), "each member of a job type can be given to outboxctl send");

}  // namespace

void AddJobFlags(CLI::App& verb, const JobTypeRow& row, JobFlags& flags,
                 std::vector<std::string>& file_paths) {
  const members::Set allowed = row.Allowed();
  for (const auto& [member, add] : kFlags) {
    if (!allowed.Has(member)) continue;
    add({verb, row, flags, file_paths, RequiresNothingElse(row, member)});
  }
}

}  // namespace outboxd
