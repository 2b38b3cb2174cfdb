#include "tests/sdk/comparison.h"

#include <algorithm>
#include <cctype>
#include <optional>

#include "core/object_scan.h"

namespace outboxd {
namespace {

bool IsStampName(const std::string& name) {
  return name == "id" || name == "timestamp" || name == "_timestamp";
}

std::vector<Member> MembersOf(const std::string& body) {
  std::vector<Member> members;
  const Result<ValueKind> kind = ScanMembers(body, members);
  return kind && *kind == ValueKind::kObject ? members : std::vector<Member>();
}

std::string TextOf(const std::string& body, const Member& member) {
  return '"' + member.key + "\":" + body.substr(member.raw.offset, member.raw.length);
}

// Together with the comma that parted it from its neighbour.
std::string Without(const std::string& body, const Member& member) {
  std::size_t start = body.rfind('"' + member.key + '"', member.raw.offset);
  std::size_t end = member.raw.offset + member.raw.length;
  if (end < body.size() && body[end] == ',') {
    ++end;
  } else if (start > 0 && body[start - 1] == ',') {
    --start;
  }
  return body.substr(0, start) + body.substr(end);
}

std::string WithoutStamps(std::string body, const std::set<std::string>& own) {
  for (;;) {
    const std::vector<Member> members = MembersOf(body);
    const auto is_foreign = [&](const Member& member) {
      return IsStampName(member.key) && !own.contains(TextOf(body, member));
    };
    const auto stamp = std::find_if(members.begin(), members.end(), is_foreign);
    if (stamp == members.end()) return body;
    body = Without(body, *stamp);
  }
}

bool IsV2(const SimRequestSeen& request) {
  return request.target.starts_with("/api/v2/");
}

std::vector<std::string> ItemsOf(const SimRequestSeen& request) {
  const Result<JsonValue> body = JsonValue::Parse(request.body);
  if (!body || request.target != "/api/v2/batch") return {body ? body->ToText() : request.body};
  std::vector<std::string> items;
  for (const JsonValue& item : (*body)["batch"].Items()) items.push_back(item.ToText());
  return items;
}

std::string ContentTypeOf(const SimRequestSeen& request) {
  for (const auto& [name, value] : request.headers) {
    std::string lower = name;
    std::transform(lower.begin(), lower.end(), lower.begin(),
                   [](unsigned char byte) { return static_cast<char>(std::tolower(byte)); });
    if (lower == "content-type") return value;
  }
  return {};
}

Essence EssenceOf(const SimRequestSeen& request, const std::set<std::string>& own) {
  return {request.method, request.target, ContentTypeOf(request), WithoutStamps(request.body, own)};
}

std::vector<SimRequestSeen> Succeeded(std::vector<SimRequestSeen> requests) {
  const auto is_no_job = [](const SimRequestSeen& request) {
    return request.method == "GET" || request.status / 100 != 2;
  };
  std::erase_if(requests, is_no_job);
  return requests;
}

}  // namespace

std::set<std::string> OwnStamps(const std::vector<SimRequestSeen>& direct) {
  std::set<std::string> own;
  for (const SimRequestSeen& request : direct) {
    for (const std::string& body :
         IsV2(request) ? ItemsOf(request) : std::vector<std::string>{request.body}) {
      for (const Member& member : MembersOf(body)) {
        if (IsStampName(member.key)) own.insert(TextOf(body, member));
      }
    }
  }
  return own;
}

std::vector<Essence> EssencesOf(const std::vector<SimRequestSeen>& requests,
                                const std::set<std::string>& own) {
  std::vector<Essence> essences;
  for (const SimRequestSeen& request : Succeeded(requests)) {
    if (!IsV2(request)) {
      essences.push_back(EssenceOf(request, own));
      continue;
    }
    for (const std::string& item : ItemsOf(request))
      essences.push_back({request.method, "/api/v2", ContentTypeOf(request), WithoutStamps(item, own)});
  }
  std::sort(essences.begin(), essences.end());
  return essences;
}

std::vector<std::string> WithoutTime(const std::vector<SimRequestSeen>& requests) {
  constexpr std::string_view kCustomers = "/api/v1/customers/";
  std::vector<std::string> without;
  for (const SimRequestSeen& request : Succeeded(requests)) {
    const bool is_identify =
        request.method == "PUT" && request.target.find('/', kCustomers.size()) == std::string::npos;
    const bool is_event =
        request.target.ends_with("/events") && request.target.find("/push/") == std::string::npos;
    if (!is_identify && !is_event) continue;
    if (is_identify && (request.body.empty() || request.body == "null")) continue;  // nothing to stamp
    const std::string name = is_identify ? "_timestamp" : "timestamp";
    const std::vector<Member> members = MembersOf(request.body);
    const auto is_time = [&name](const Member& member) {
      return member.key == name && member.kind == ValueKind::kNumber;
    };
    if (std::none_of(members.begin(), members.end(), is_time))
      without.push_back("without time: " + EssenceOf(request, {}).ToText());
  }
  return without;
}

std::vector<std::string> Differences(const std::vector<SimRequestSeen>& direct,
                                     const std::vector<SimRequestSeen>& through) {
  const std::set<std::string> own = OwnStamps(direct);
  const std::vector<Essence> sent = EssencesOf(direct, own), arrived = EssencesOf(through, own);
  std::vector<Essence> missing, foreign;
  std::set_difference(sent.begin(), sent.end(), arrived.begin(), arrived.end(), std::back_inserter(missing));
  std::set_difference(arrived.begin(), arrived.end(), sent.begin(), sent.end(), std::back_inserter(foreign));
  std::vector<std::string> differences;
  for (const Essence& essence : missing) differences.push_back("did not arrive: " + essence.ToText());
  for (const Essence& essence : foreign)
    differences.push_back("arrived and was not sent: " + essence.ToText());
  return differences;
}

}  // namespace outboxd
