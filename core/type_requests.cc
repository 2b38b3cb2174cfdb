#include "core/type_requests.h"

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "core/encoding.h"
#include "core/job.h"
#include "core/member_values.h"
#include "core/object_scan.h"
#include "core/request.h"
#include "core/splice.h"
#include "core/text.h"

namespace outboxd {
namespace {

constexpr std::string_view kCustomers = "/api/v1/customers/";

const OtherMembers& OtherOf(const Job& job) {
  static const OtherMembers kNone;
  return job.other ? *job.other : kNone;
}

std::string Edited(const Job& job, const Stamp& stamp, Slice whole) {
  std::string edited;
  edited.reserve(whole.length);
  AppendEdited(edited, job, stamp, whole, OtherOf(job).edits);
  return edited;
}

// One segment of a path. "." and ".." would be taken for steps in the tree by clients and proxies on the way.
void AppendSegment(std::string& out, std::string_view segment) {
  if (segment != "." && segment != "..") return AppendPercentEncoded(out, segment);
  for (const char byte : segment) AppendPercentEscape(out, byte);
}

void SetJsonBody(HttpRequest& request, std::string body) {
  request.headers.emplace_back("Content-Type", "application/json");
  request.body = std::move(body);
}

HttpRequest MakeRequest(std::string_view method, std::string target) {
  HttpRequest request;
  request.method = method;
  request.target = std::move(target);
  return request;
}

std::string CustomerTarget(const Job& job, std::string_view rest) {
  std::string target;
  target.reserve(kCustomers.size() + job.customer.size() * 3 + rest.size());
  target += kCustomers;
  AppendSegment(target, job.customer);
  target += rest;
  return target;
}

std::string OneMember(std::string_view name, std::string_view value) {
  std::string body;
  body.reserve(name.size() + value.size() + 8);
  body.append("{\"").append(name).append("\":").append(value).append("}");
  return body;
}

// A call that says all in its method and path.
HttpRequest BuildCustomerCall(const Job& job, std::string_view method, std::string_view rest) {
  return MakeRequest(method, CustomerTarget(job, rest));
}

void AppendMember(std::string& out, std::string_view name, std::string_view json) {
  out.append(",\"").append(name).append("\":").append(json);
}

void AppendPerson(std::string& out, const Job& job, std::string_view action) {
  out += R"({"type":"person","identifiers":{"id":)";
  AppendJsonString(out, job.customer);
  out.append(R"(},"action":")").append(action).append("\"");
}

void AppendBareItem(std::string& out, const Job& job, std::string_view action) {
  AppendPerson(out, job, action);
  out += '}';
}

}  // namespace

HttpRequest BuildIdentify(const Job& job, const Stamp& stamp) {
  HttpRequest request = MakeRequest("PUT", CustomerTarget(job, {}));
  const std::string_view attributes = job.Text(job.body);
  if (job.has_own_timestamp) {
    SetJsonBody(request, std::string(attributes));
    return request;
  }
  std::string body;
  body.reserve(attributes.size() + 40);
  body += "{\"_timestamp\":";
  AppendTimestamp(body, job, stamp);
  const std::size_t first = attributes.find_first_not_of(kJsonWhiteSpace, 1);
  if (first == std::string_view::npos || attributes[first] == '}') {
    body += '}';
  } else {
    body += ',';
    body += attributes.substr(1);
  }
  SetJsonBody(request, std::move(body));
  return request;
}

void AppendIdentifyItem(std::string& out, const Job& job, const Stamp& stamp) {
  AppendPerson(out, job, "identify");
  out += ",\"timestamp\":";
  AppendTimestamp(out, job, stamp);
  AppendMember(out, "attributes", job.body.empty() ? "{}" : job.Text(job.body));
  out += '}';
}

HttpRequest BuildEvent(const Job& job, const Stamp& stamp) {
  const std::string_view data = job.Text(job.body);
  std::string body;
  body.reserve(job.customer.size() + job.name.size() + data.size() + job.timestamp.length + 128);
  body += '{';
  if (job.anonymous) {
    body += "\"anonymous_id\":";
    AppendJsonString(body, job.customer);
    body += ',';
  }
  if (job.type == JobType::kPageview) body += "\"type\":\"page\",";
  body += "\"name\":";
  AppendJsonString(body, job.name);
  body += ",\"id\":";
  AppendEventId(body, job, stamp);
  body += ",\"timestamp\":";
  AppendTimestamp(body, job, stamp);
  if (!data.empty()) {
    body += ",\"data\":";
    body += data;
  }
  body += '}';
  const bool is_known = !job.anonymous && !job.customer.empty();
  HttpRequest request = MakeRequest("POST", is_known ? CustomerTarget(job, "/events") : "/api/v1/events");
  SetJsonBody(request, std::move(body));
  return request;
}

void AppendEventItem(std::string& out, const Job& job, const Stamp& stamp) {
  AppendPerson(out, job, job.type == JobType::kPageview ? "page" : "event");
  out += ",\"name\":";
  AppendJsonString(out, job.name);
  out += ",\"id\":";
  AppendEventId(out, job, stamp);
  out += ",\"timestamp\":";
  AppendTimestamp(out, job, stamp);
  if (!job.body.empty()) AppendMember(out, "attributes", job.Text(job.body));
  out += '}';
}

HttpRequest BuildDestroy(const Job& job, const Stamp&) {
  return BuildCustomerCall(job, "DELETE", {});
}
void AppendDestroyItem(std::string& out, const Job& job, const Stamp&) {
  AppendBareItem(out, job, "delete");
}

HttpRequest BuildSuppress(const Job& job, const Stamp&) {
  return BuildCustomerCall(job, "POST", "/suppress");
}
void AppendSuppressItem(std::string& out, const Job& job, const Stamp&) {
  AppendBareItem(out, job, "suppress");
}

HttpRequest BuildUnsuppress(const Job& job, const Stamp&) {
  return BuildCustomerCall(job, "POST", "/unsuppress");
}
void AppendUnsuppressItem(std::string& out, const Job& job, const Stamp&) {
  AppendBareItem(out, job, "unsuppress");
}

HttpRequest BuildAddDevice(const Job& job, const Stamp& stamp) {
  HttpRequest request = MakeRequest("PUT", CustomerTarget(job, "/devices"));
  SetJsonBody(request, OneMember("device", Edited(job, stamp, job.body)));
  return request;
}

// v1 calls a device's token its id.
void AppendAddDeviceItem(std::string& out, const Job& job, const Stamp& stamp) {
  AppendPerson(out, job, "add_device");
  out += ",\"device\":{";
  std::string_view separator;
  for (const Member& member : members::Inside(std::string(job.Text(job.body)))) {
    if (member.kind == ValueKind::kNull) continue;
    out.append(separator).append("\"").append(member.key == "id" ? "token" : member.key).append("\":");
    AppendEdited(out, job, stamp, {job.body.offset + member.raw.offset, member.raw.length},
                 OtherOf(job).edits);
    separator = ",";
  }
  out += "}}";
}

HttpRequest BuildDeleteDevice(const Job& job, const Stamp&) {
  const OtherMembers& other = OtherOf(job);
  std::string target = CustomerTarget(job, "/devices/");
  AppendSegment(target, other.device_id);
  return MakeRequest("DELETE", std::move(target));
}

void AppendDeleteDeviceItem(std::string& out, const Job& job, const Stamp&) {
  AppendPerson(out, job, "delete_device");
  out += ",\"device\":{\"token\":";
  AppendJsonString(out, OtherOf(job).device_id);
  out += "}}";
}

HttpRequest BuildMerge(const Job& job, const Stamp& stamp) {
  const OtherMembers& other = OtherOf(job);
  HttpRequest request = MakeRequest("POST", "/api/v1/merge_customers");
  std::string body;
  body.reserve(std::size_t{other.primary.length} + other.secondary.length + 32);
  body.append("{\"primary\":")
      .append(Edited(job, stamp, other.primary))
      .append(",\"secondary\":")
      .append(Edited(job, stamp, other.secondary))
      .append("}");
  SetJsonBody(request, std::move(body));
  return request;
}

HttpRequest BuildForm(const Job& job, const Stamp& stamp) {
  const OtherMembers& other = OtherOf(job);
  std::string target = "/api/v1/forms/";
  AppendSegment(target, other.form_id);
  target += "/submit";
  HttpRequest request = MakeRequest("POST", std::move(target));
  SetJsonBody(request, OneMember("data", job.body.empty() ? "{}" : Edited(job, stamp, job.body)));
  return request;
}

HttpRequest BuildSegmentChange(const Job& job, const Stamp&) {
  const OtherMembers& other = OtherOf(job);
  std::string target = "/api/v1/segments/";
  AppendSegment(target, other.segment_id);
  target += job.type == JobType::kAddToSegment ? "/add_customers" : "/remove_customers";
  if (!other.id_type.empty()) {
    target += "?id_type=";
    AppendPercentEncoded(target, other.id_type);
  }
  HttpRequest request = MakeRequest("POST", std::move(target));
  SetJsonBody(request, OneMember("ids", job.Text(job.body)));
  return request;
}

HttpRequest BuildMetric(const Job& job, const Stamp& stamp) {
  const OtherMembers& other = OtherOf(job);
  std::string body;
  body.reserve(job.line.size() + 64);
  body += "{\"delivery_id\":";
  AppendJsonString(body, other.delivery_id);
  body += ",\"metric\":";
  AppendJsonString(body, other.metric);
  body += ",\"timestamp\":";
  AppendTimestamp(body, job, stamp);
  const std::array<std::pair<std::string_view, std::string_view>, 3> optional_members = {
      {{"recipient", other.recipient}, {"reason", other.reason}, {"href", other.href}}};
  for (const auto& [name, value] : optional_members) {
    if (value.empty()) continue;
    body.append(",\"").append(name).append("\":");
    AppendJsonString(body, value);
  }
  body += '}';
  HttpRequest request = MakeRequest("POST", "/api/v1/metrics");
  SetJsonBody(request, std::move(body));
  return request;
}

}  // namespace outboxd
