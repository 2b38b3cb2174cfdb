#include "tests/simulation/request_reader.h"

#include <cstdlib>
#include <string_view>
#include <utility>

#include "core/batch.h"
#include "core/json.h"
#include "core/request.h"
#include "tests/simulation/violation.h"

namespace outboxd::simulation {
namespace {

constexpr std::string_view kCustomers = "/api/v1/customers/";
constexpr std::string_view kRaw = "/api/v1/raw";

JsonValue ParseBody(const std::string& body) {
  const Result<JsonValue> value = JsonValue::Parse(body);
  Demand(value.has_value(), "a request's body is not JSON: " + body);
  return *value;
}

void ReadValues(SeenJob& seen, const JsonValue& values) {
  seen.number = static_cast<int>(values["number"].Int(-1));
  seen.note = values["note"].String("(none)");
  seen.poison = kNames<Poison>.Find(values["poison"].String("(none)")).value_or(Poison::kNone);
}

SeenJob ReadEvent(const JsonValue& body, std::string_view page, std::string_view values) {
  SeenJob seen;
  seen.type = body[page == "page" ? "action" : "type"].String() == "page" ? "pageview" : "track";
  seen.event_id = body["id"].String();
  Demand(body["name"].String() == (seen.type == "track" ? "purchase" : "https://example.com/"),
         "an event lost its name");
  Demand(body["timestamp"].IsNumber(), "an event has no time");
  ReadValues(seen, body[values]);
  return seen;
}

SeenJob ReadRaw(const HttpRequest& request) {
  Demand(request.method == "POST", "a raw job has another method");
  SeenJob seen;
  seen.type = "raw";
  ReadValues(seen, ParseBody(request.body));
  return seen;
}

SeenJob ReadSingle(const HttpRequest& request, int number) {
  SeenJob seen;
  if (request.target == "/api/v1/merge_customers") {
    seen.type = "merge";
    seen.number = number;
    return seen;
  }
  if (request.target == kRaw) return ReadRaw(request);
  Demand(request.target.starts_with(kCustomers), "a request to an unknown path: " + request.target);
  const std::string rest = request.target.substr(kCustomers.size());
  const std::string customer = rest.substr(0, rest.find('/'));
  if (rest.ends_with("/raw")) {
    seen = ReadRaw(request);
  } else if (rest.ends_with("/events")) {
    Demand(request.method == "POST", "an event is not posted");
    seen = ReadEvent(ParseBody(request.body), "", "data");
  } else if (request.method == "PUT") {
    seen.type = "identify";
    ReadValues(seen, ParseBody(request.body));
  } else {
    Demand(request.method == "DELETE", "an unknown method: " + request.method);
    seen.type = "destroy";
    seen.number = number;
  }
  seen.customer = customer;
  return seen;
}

SeenJob ReadItem(const JsonValue& item, int number) {
  const std::string action = item["action"].String();
  SeenJob seen;
  if (action == "event" || action == "page") {
    seen = ReadEvent(item, "page", "attributes");
  } else if (action == "identify") {
    seen.type = "identify";
    ReadValues(seen, item["attributes"]);
  } else {
    Demand(action == "delete", "an item with an unknown action: " + item.ToText());
    seen.type = "destroy";
    seen.number = number;
  }
  seen.customer = item["identifiers"]["id"].String();
  return seen;
}

int NumberOf(const QueuedJob& job) {
  return std::atoi(job.job.ref.c_str());
}

}  // namespace

std::vector<SeenJob> ReadRequest(const Transfer& transfer) {
  std::vector<SeenJob> seen;
  if (transfer.kind == TransferKind::kJob) {
    seen.push_back(ReadSingle(BuildRequest(transfer.job->job, transfer.job->stamp), NumberOf(*transfer.job)));
  } else if (transfer.kind == TransferKind::kBatch) {
    const HttpRequest request = BuildBatchRequest(transfer.batch);
    const BatchConfig& limits = transfer.endpoint->config.batch;
    Demand(request.method == "POST" && request.target == "/api/v2/batch", "a batch goes to another place");
    Demand(request.body.size() <= limits.max_bytes && transfer.batch.size() <= limits.max_items,
           "a batch is over its limits");
    const std::vector<JsonValue> items = ParseBody(request.body)["batch"].Items();
    Demand(items.size() == transfer.batch.size(), "a batch lost an item");
    for (std::size_t index = 0; index < items.size(); ++index)
      seen.push_back(ReadItem(items[index], NumberOf(*transfer.batch[index])));
  }
  for (std::size_t index = 0; index < seen.size(); ++index)
    seen[index].sequence = transfer.Jobs()[index]->sequence;
  return seen;
}

}  // namespace outboxd::simulation
