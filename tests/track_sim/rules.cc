// Routing, credentials and the v1 endpoints.

#include "tests/track_sim/rules.h"

#include <array>

#include "tests/track_sim/checks.h"

namespace outboxd::sim {
namespace {

// One request on its way through a route's check.
struct Visit {
  const SimRequest& request;
  const std::vector<std::string>& wildcards;  // what stood for each "*" of the pattern, decoded
  const BodyReader& body;
  const Account& account;
  Judged& judged;

  const Node& Root() const { return body.Root(); }
  // The one effect of a v1 request, about the customers known so far.
  Effect& AddEffect(std::string_view type) {
    Effect& effect = judged.effects.emplace_back();
    effect.type = type;
    effect.customers = judged.customers;
    effect.payload_hash = HashOf(request.body);
    return effect;
  }
};

enum class Body : std::uint8_t { kIgnored, kOptional, kNeeded };
enum class Access : std::uint8_t { kPublic, kCustomer };

struct Route {
  std::string_view method;
  std::string_view pattern;
  Access access;
  Body body;
  Check (*check)(Visit&);
};

Check NameCustomer(Visit& visit) {
  visit.judged.customers = {visit.wildcards.front()};
  return CheckIdentifier("identifier", visit.wildcards.front());
}

Check Identify(Visit& visit) {
  if (Check problem = NameCustomer(visit)) return problem;
  std::optional<std::int64_t> n;
  if (visit.Root().IsObject()) {
    if (Check problem = CheckAttributes(visit.Root())) return problem;
    n = IntegerMember(visit.Root(), "n");
  }
  visit.AddEffect("identify").n = n;
  return {};
}

template <const auto& type>
Check PlainCustomerCall(Visit& visit) {
  if (Check problem = NameCustomer(visit)) return problem;
  visit.AddEffect(type);
  return {};
}
constexpr std::string_view kDestroy = "destroy", kSuppress = "suppress", kUnsuppress = "unsuppress";

Check AddDevice(Visit& visit) {
  if (Check problem = NameCustomer(visit)) return problem;
  const Node* device = Find(visit.Root(), "device");
  if (device == nullptr || !device->IsObject()) return Required("device");
  if (Check problem = CheckText(*device, "id")) return problem;
  if (Check problem = CheckOneOf(*device, "platform", {"ios", "android"})) return problem;
  const Node* last_used = Find(*device, "last_used");
  // The Go library sends it as a string of digits.
  const bool is_text = last_used != nullptr && last_used->IsString();
  if (is_text && last_used->Text().find_first_not_of("0123456789") != std::string_view::npos)
    return Invalid("last_used", "last_used must be a number");
  if (Check problem = is_text ? Check() : CheckNumberIfPresent(*device, "last_used")) return problem;
  if (Check problem = CheckObjectIfPresent(*device, "attributes")) return problem;
  visit.AddEffect("add_device");
  return {};
}

Check DeleteDevice(Visit& visit) {
  if (Check problem = NameCustomer(visit)) return problem;
  if (visit.wildcards[1].empty()) return Required("device_id");
  visit.AddEffect("delete_device");
  return {};
}

Check JudgeEvent(Visit& visit) {
  std::string_view type = "event";
  if (const Node* given = Find(visit.Root(), "type")) {
    if (Check problem = CheckOneOf(visit.Root(), "type", {"event", "page", "screen"})) return problem;
    type = given->Text();
  }
  if (Check problem = CheckEvent(visit.Root())) return problem;
  if (Check problem = CheckObjectIfPresent(visit.Root(), "data")) return problem;
  const Node* data = Find(visit.Root(), "data");
  if (data != nullptr && data->Source().size() > kEventDataBytes)
    return TooLarge("data", "data is larger than 100,000 bytes");
  if (CountMembers(visit.Root(), "data") > 1) return Invalid("data", "data is there twice");
  Effect& effect = visit.AddEffect(EventType(type));
  effect.name = Find(visit.Root(), "name")->Text();
  if (const Node* id = Find(visit.Root(), "id")) effect.event_id = id->Text();
  if (data != nullptr) effect.n = IntegerMember(*data, "n");
  return {};
}

Check Track(Visit& visit) {
  if (Check problem = NameCustomer(visit)) return problem;
  if (!visit.Root().IsObject()) return Invalid("", "an object is needed");
  return JudgeEvent(visit);
}

Check AnonymousEvent(Visit& visit) {
  if (!visit.Root().IsObject()) return Invalid("", "an object is needed");
  const Node* id = Find(visit.Root(), "anonymous_id");
  if (id != nullptr && !id->IsString()) return Invalid("anonymous_id", "anonymous_id must be a string");
  if (id != nullptr && id->Text().size() > 0) {
    visit.judged.customers = {std::string(id->Text())};
    if (Check problem = CheckIdentifier("anonymous_id", id->Text())) return problem;
    return JudgeEvent(visit);
  }
  // Without one it may invite somebody, by an address. Of the others the API's description requires a name
  // alone.
  const Node* data = Find(visit.Root(), "data");
  if (data != nullptr && Find(*data, "recipient") != nullptr) {
    if (Check problem = CheckText(*data, "recipient")) return problem;
  }
  return JudgeEvent(visit);
}

Check Merge(Visit& visit) {
  for (const std::string_view field : {"primary", "secondary"}) {
    const Node* person = Find(visit.Root(), field);
    if (person == nullptr) return Required(std::string(field));
    std::string customer;
    if (Check problem = CheckOneIdentifier(*person, {"id", "email", "cio_id"}, field, customer))
      return problem;
    visit.judged.customers.push_back(std::move(customer));
  }
  visit.AddEffect("merge");
  return {};
}

Check SubmitForm(Visit& visit) {
  if (visit.wildcards.front().empty()) return Required("form_id");
  const Node* data = Find(visit.Root(), "data");
  if (data == nullptr || !data->IsObject()) return Required("data");
  const std::size_t identifiers = CountMembers(*data, "id") + CountMembers(*data, "email");
  if (identifiers != 1) return Invalid("data", "data needs exactly one of id and email");
  for (const Node& member : *data) {
    const std::string_view name = member.Name();
    if (!member.IsString()) return Invalid(std::string(name), "form values must be strings");
    if (name == "id" || name == "email") visit.judged.customers = {std::string(member.Text())};
  }
  if (Check problem = CheckIdentifier("data.id", visit.judged.customers.front())) return problem;
  visit.AddEffect("form");
  visit.judged.status = 204;
  return {};
}

Check JudgeSegment(Visit& visit, std::string_view type) {
  const std::string& segment = visit.wildcards.front();
  if (segment.empty() || segment.find_first_not_of("0123456789") != std::string::npos)
    return Invalid("segment_id", "segment id must be a number");
  const std::string_view id_type = visit.request.Query("id_type").value_or("id");
  if (id_type != "id" && id_type != "email" && id_type != "cio_id")
    return Invalid("id_type", "id_type must be id, email or cio_id");
  const Node* ids = Find(visit.Root(), "ids");
  if (ids == nullptr) return Required("ids");
  if (!ids->IsArray() || ids->Count() == 0)
    return Invalid("ids", "ids must be an array with at least one id");
  if (ids->Count() > kSegmentIds) return TooLarge("ids", "more than 1000 ids");
  for (const Node& id : *ids) {
    const std::optional<std::string> text = IdentifierText(id);
    if (!text) return Invalid("ids", "ids must be strings");
    visit.judged.customers.push_back(*text);
    if (Check problem = CheckIdentifier("ids", visit.judged.customers.back())) return problem;
  }
  visit.AddEffect(type);
  return {};
}

Check AddToSegment(Visit& visit) {
  return JudgeSegment(visit, "add_to_segment");
}
Check RemoveFromSegment(Visit& visit) {
  return JudgeSegment(visit, "remove_from_segment");
}

Check Metric(Visit& visit) {
  if (Check problem = CheckText(visit.Root(), "delivery_id")) return problem;
  if (Check problem = CheckOneOf(
          visit.Root(), "metric",
          {"bounced", "clicked", "converted", "deferred", "delivered", "dropped", "opened", "spammed"})) {
    return problem;
  }
  if (Check problem = CheckNumberIfPresent(visit.Root(), "timestamp")) return problem;
  for (const std::string_view field : {"recipient", "reason", "href"}) {
    const Node* value = Find(visit.Root(), field);
    if (value != nullptr && !value->IsString())
      return Invalid(std::string(field), std::string(field) + " must be a string");
  }
  visit.AddEffect("metric");
  return {};
}

Check PushMetric(Visit& visit) {
  if (Check problem = CheckText(visit.Root(), "delivery_id")) return problem;
  if (Check problem = CheckOneOf(visit.Root(), "event", {"opened", "converted", "delivered"})) return problem;
  if (Check problem = CheckText(visit.Root(), "device_id")) return problem;
  if (Check problem = CheckNumberIfPresent(visit.Root(), "timestamp")) return problem;
  visit.AddEffect("push_metric");
  return {};
}

// Not in the reference: as the mobile and web libraries send it.
Check DeliveryEvent(Visit& visit) {
  if (Check problem = CheckText(visit.Root(), "type")) return problem;
  const Node* payload = Find(visit.Root(), "payload");
  if (payload == nullptr || !payload->IsObject()) return Required("payload");
  if (Check problem = CheckText(*payload, "delivery_id")) return problem;
  visit.AddEffect("metric");
  return {};
}

Check Unsubscribe(Visit& visit) {
  const Node* unsubscribe = Find(visit.Root(), "unsubscribe");
  if (unsubscribe == nullptr || !unsubscribe->IsBool() || !unsubscribe->Bool())
    return Invalid("unsubscribe", "unsubscribe must be true");
  visit.AddEffect("unsubscribe");
  return {};
}

Check GetRegion(Visit& visit) {
  const std::string& region = visit.account.region;
  const std::string host = region == "eu" ? "track-eu.customer.io" : "track.customer.io";
  visit.judged.body =
      R"({"url":"https://)" + host + R"(","region":")" + region + R"(","environment_id":3})" + "\n";
  return {};
}

Check Entity(Visit& visit) {
  Effect effect;
  Check problem = JudgeEntity(visit.Root(), effect);
  visit.judged.customers = effect.customers;
  if (!problem) visit.judged.effects.push_back(std::move(effect));
  return problem;
}

Check Batch(Visit& visit) {
  if (visit.request.body.size() > kBatchBytes) return Problem{413, "too_large", "", "larger than 500 kB"};
  visit.judged.is_batch = true;
  return JudgeBatch(visit.Root(), visit.judged);
}

constexpr std::array kRoutes = {
    Route{"POST", "/api/v1/customers/*/events", Access::kCustomer, Body::kNeeded, Track},
    Route{"PUT", "/api/v1/customers/*", Access::kCustomer, Body::kOptional, Identify},
    Route{"POST", "/api/v2/batch", Access::kCustomer, Body::kNeeded, Batch},
    Route{"DELETE", "/api/v1/customers/*", Access::kCustomer, Body::kIgnored, PlainCustomerCall<kDestroy>},
    Route{"POST", "/api/v1/customers/*/suppress", Access::kCustomer, Body::kIgnored,
          PlainCustomerCall<kSuppress>},
    Route{"POST", "/api/v1/customers/*/unsuppress", Access::kCustomer, Body::kIgnored,
          PlainCustomerCall<kUnsuppress>},
    Route{"PUT", "/api/v1/customers/*/devices", Access::kCustomer, Body::kNeeded, AddDevice},
    Route{"DELETE", "/api/v1/customers/*/devices/*", Access::kCustomer, Body::kIgnored, DeleteDevice},
    Route{"POST", "/api/v1/events", Access::kCustomer, Body::kNeeded, AnonymousEvent},
    Route{"POST", "/api/v1/merge_customers", Access::kCustomer, Body::kNeeded, Merge},
    Route{"POST", "/api/v1/forms/*/submit", Access::kCustomer, Body::kNeeded, SubmitForm},
    Route{"POST", "/api/v1/segments/*/add_customers", Access::kCustomer, Body::kNeeded, AddToSegment},
    Route{"POST", "/api/v1/segments/*/remove_customers", Access::kCustomer, Body::kNeeded, RemoveFromSegment},
    Route{"POST", "/api/v1/metrics", Access::kPublic, Body::kNeeded, Metric},
    Route{"POST", "/api/v1/push/events", Access::kPublic, Body::kNeeded, PushMetric},
    Route{"POST", "/push/events", Access::kPublic, Body::kNeeded, PushMetric},
    Route{"POST", "/api/v1/cio_deliveries/events", Access::kPublic, Body::kNeeded, DeliveryEvent},
    Route{"POST", "/unsubscribe/*", Access::kPublic, Body::kNeeded, Unsubscribe},
    Route{"GET", "/api/v1/accounts/region", Access::kCustomer, Body::kIgnored, GetRegion},
    Route{"POST", "/api/v2/entity", Access::kCustomer, Body::kNeeded, Entity},
};

// Segment by segment on the raw path, so that %2F stays inside its segment.
bool Matches(std::string_view path, std::string_view pattern, std::vector<std::string_view>& wildcards) {
  wildcards.clear();
  while (!pattern.empty() && !path.empty()) {
    path.remove_prefix(1);
    pattern.remove_prefix(1);
    const std::string_view segment = path.substr(0, path.find('/'));
    const std::string_view wanted = pattern.substr(0, pattern.find('/'));
    if (wanted == "*")
      wildcards.push_back(segment);
    else if (wanted != segment)
      return false;
    path.remove_prefix(segment.size());
    pattern.remove_prefix(wanted.size());
  }
  return path.empty() && pattern.empty();
}

struct Match {
  const Route* route = nullptr;
  std::string allow;
  std::vector<std::string_view> wildcards;
};

Match FindRoute(const SimRequest& request) {
  Match match;
  const std::string_view path = request.Path();
  for (const Route& route : kRoutes) {
    if (!Matches(path, route.pattern, match.wildcards)) continue;
    if (route.method == request.method) {
      match.route = &route;
      return match;
    }
    match.allow.append(match.allow.empty() ? "" : ", ").append(route.method);
  }
  return match;
}

// Reads the body where the route wants one. Afterwards the reader holds an object or null.
Check ReadBody(const SimRequest& request, Body body, BodyReader& reader) {
  if (body == Body::kIgnored || request.body.empty()) {
    reader.Read("null");
    return body == Body::kNeeded ? Check(Invalid("", "a body is needed")) : Check();
  }
  const std::string_view type = request.Header("content-type");
  if (!EqualIgnoringCase(type.substr(0, type.find(';')), "application/json"))
    return Invalid("", "Content-Type must be application/json");
  if (std::string error = reader.Read(request.body); !error.empty()) return Invalid("", std::move(error));
  if (!reader.Root().IsObject() && !(body == Body::kOptional && reader.Root().IsNull()))
    return Invalid("", "the body must be an object");
  return {};
}

Check DecodeWildcards(const std::vector<std::string_view>& raw, std::vector<std::string>& decoded) {
  for (const std::string_view text : raw) {
    std::optional<std::string> segment = DecodePercent(text);
    if (!segment) return Invalid("path", "a percent sign in the path without two hex digits");
    decoded.push_back(std::move(*segment));
  }
  return {};
}

void Quote(std::string& json, std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  json.push_back('"');
  for (const char character : text) {
    const unsigned byte = static_cast<unsigned char>(character);
    if (character == '"' || character == '\\')
      json.append({'\\', character});
    else if (byte < 0x20)
      json.append("\\u00").append({kHex[byte >> 4], kHex[byte & 15U]});
    else
      json.push_back(character);
  }
  json.push_back('"');
}

void AppendV2(std::string& json, const Problem& problem) {
  json.append("\"reason\":");
  Quote(json, problem.reason);
  json.append(",\"field\":");
  Quote(json, problem.field);
  json.append(",\"message\":");
  Quote(json, problem.message);
}

}  // namespace

std::string ProblemBody(const Problem& problem, bool is_v2) {
  std::string json;
  if (is_v2 && problem.status != 401) {
    json.append("{\"errors\":[{");
    AppendV2(json, problem);
    return json.append("}]}\n");
  }
  json.append("{\"meta\":{\"error\":");
  Quote(json, problem.message);
  return json.append("}}\n");
}

std::string BatchProblemsBody(const std::vector<BatchProblem>& problems) {
  std::string json = "{\"errors\":[";
  for (const BatchProblem& problem : problems) {
    json.append(json.ends_with('[') ? "{\"batch_index\":" : ",{\"batch_index\":")
        .append(std::to_string(problem.index))
        .append(",");
    AppendV2(json, problem.problem);
    json.append("}");
  }
  return json.append("]}\n");
}

void Rules::SetCredentials(std::string site_id, std::string api_key) {
  account_.site_id = std::move(site_id);
  account_.api_key = std::move(api_key);
  good_authorization_.clear();
}

bool Rules::Authorised(const SimRequest& request) {
  const std::string_view header = request.Header("authorization");
  if (!header.empty() && header == good_authorization_) return true;
  if (header.size() < 6 || !EqualIgnoringCase(header.substr(0, 6), "basic ")) return false;
  const std::optional<std::string> pair = DecodeBase64(header.substr(6));
  if (!pair || *pair != account_.site_id + ":" + account_.api_key) return false;
  good_authorization_ = header;
  return true;
}

Judged Rules::Judge(const SimRequest& request) {
  Judged judged;
  judged.auth_ok = Authorised(request);
  judged.is_v2 = request.target.starts_with("/api/v2/");
  const Match match = FindRoute(request);
  judged.known_path = match.route != nullptr || !match.allow.empty();
  if (!judged.known_path) {
    judged.problem = Problem{404, "not_found", "", "Not Found"};
    return judged;
  }
  if (match.route == nullptr) {
    judged.allow = match.allow;
    judged.problem = Problem{405, "not_allowed", "", "Method Not Allowed"};
    return judged;
  }
  std::vector<std::string> wildcards;
  judged.problem = DecodeWildcards(match.wildcards, wildcards);
  if (!judged.problem) judged.problem = ReadBody(request, match.route->body, reader_);
  if (!judged.problem) {
    Visit visit{request, wildcards, reader_, account_, judged};
    judged.problem = match.route->check(visit);
  }
  if (!judged.auth_ok && match.route->access == Access::kCustomer)
    judged.problem = Problem{401, "unauthorized", "", "Unauthorized"};
  if (judged.problem) judged.effects.clear();
  return judged;
}

}  // namespace outboxd::sim
