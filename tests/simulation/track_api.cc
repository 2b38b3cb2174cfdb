#include "tests/simulation/track_api.h"

#include <algorithm>
#include <array>
#include <utility>

#include "core/batch.h"
#include "core/json.h"
#include "core/request.h"
#include "tests/simulation/violation.h"

namespace outboxd::simulation {
namespace {

constexpr std::string_view kCustomers = "/api/v1/customers/";
constexpr Milliseconds kTimeout{30'000};

JsonValue ParseBody(const std::string& body) {
  const Result<JsonValue> value = JsonValue::Parse(body);
  Demand(value.has_value(), "a request's body is not JSON: " + body);
  return *value;
}

void ReadValues(SeenJob& seen, const JsonValue& values) {
  seen.number = static_cast<int>(values["number"].Int(-1));
  seen.note = values["note"].String("(none)");
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

SeenJob ReadSingle(const HttpRequest& request, int number) {
  SeenJob seen;
  if (request.target == "/api/v1/merge_customers") {
    seen.type = "merge";
    seen.number = number;
    return seen;
  }
  Demand(request.target.starts_with(kCustomers), "a request to an unknown path: " + request.target);
  const std::string rest = request.target.substr(kCustomers.size());
  const std::string customer = rest.substr(0, rest.find('/'));
  if (rest.ends_with("/events")) {
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

Meaning MeaningOf(int status) {
  if (status >= 200 && status < 300) return Meaning::kDelivered;
  if (status == 0 || status == 408 || status == 429 || status >= 500) return Meaning::kDeferred;
  if (status == 401 || status == 403) return Meaning::kPausedAuth;
  if (status >= 300 && status < 400) return Meaning::kPausedRegion;
  return Meaning::kRejected;
}

std::vector<Meaning> MeaningsOf(const Transfer& transfer, const Answer& answer) {
  const std::size_t count = transfer.Jobs().size();
  std::vector<Meaning> meanings(count, MeaningOf(answer.status));
  if (transfer.kind != TransferKind::kBatch) return meanings;
  if (meanings.front() == Meaning::kRejected) meanings.assign(count, Meaning::kSplit);
  if (answer.status != 207) return meanings;
  bool astray = false;
  for (const JsonValue& error : ParseBody(answer.body)["errors"].Items()) {
    astray = astray || error["batch_index"].Int(-1) < 0 ||
             error["batch_index"].Int() >= static_cast<std::int64_t>(count);
  }
  if (astray) meanings.assign(count, Meaning::kSplit);
  for (const JsonValue& error : ParseBody(answer.body)["errors"].Items()) {
    const std::int64_t index = error["batch_index"].Int(-1);
    if (index >= 0 && index < static_cast<std::int64_t>(count))
      meanings[static_cast<std::size_t>(index)] = Meaning::kRejected;
  }
  return meanings;
}

Answer Status(int status) {
  Answer answer;
  answer.status = status;
  answer.body = status / 100 == 4 ? R"({"meta":{"error":"no"},"errors":[]})" : "{}";
  if (status == 0) answer.error = "connect: Connection refused";
  if (status >= 300 && status < 400) answer.location = "https://track-eu.customer.io/";
  return answer;
}

Answer Lost(std::string error) {
  Answer answer;
  answer.error = std::move(error);
  return answer;
}

}  // namespace

std::string MeaningName(Meaning meaning) {
  constexpr std::array<const char*, 6> kNames = {"delivered",   "deferred",      "rejected",
                                                 "paused_auth", "paused_region", "split"};
  return kNames[static_cast<std::size_t>(meaning)];
}

std::string TrackApi::WeatherName() const {
  constexpr std::array<const char*, 8> kNames = {"calm",       "down",  "flaky", "unauthorized",
                                                 "overloaded", "moved", "picky", "slow"};
  return kNames[static_cast<std::size_t>(weather_)];
}

void TrackApi::ChangeWeather() {
  if (troubled_) weather_ = random_.Chance(25) ? Weather::kCalm : static_cast<Weather>(random_.Below(8));
}

void TrackApi::CalmDown() {
  weather_ = Weather::kCalm;
  troubled_ = false;
}

Reply TrackApi::Receive(const Transfer& transfer) {
  Reply reply;
  std::vector<SeenJob> seen = ReadRequest(transfer);
  reply.answer = AnswerTo(transfer);
  reply.meanings = MeaningsOf(transfer, reply.answer);
  reply.latency = Latency();
  reply.arrived = reply.answer.error.find("connect") == std::string::npos;
  if (reply.arrived && reply.latency > kTimeout) {
    reply.latency = kTimeout;
    reply.answer = Lost("timeout: nothing for 30 s");
    reply.meanings = MeaningsOf(transfer, reply.answer);
  }
  reply.seen = std::move(seen);
  return reply;
}

Answer TrackApi::AnswerTo(const Transfer& transfer) {
  const bool is_probe = transfer.kind == TransferKind::kProbe;
  Answer well = Status(200);
  if (is_probe) well.body = R"({"region":"us","environment_id":1})";
  switch (weather_) {
    case Weather::kCalm:
    case Weather::kSlow:
      return well;
    case Weather::kDown:
      return random_.Chance(95) ? Status(0) : Status(503);
    case Weather::kFlaky: {
      const std::uint32_t dice = random_.Below(6);
      return dice < 2    ? well
             : dice == 2 ? Status(500)
             : dice == 3 ? Lost("recv: Connection reset by peer")
             : dice == 4 ? Status(0)
                         : Status(408);
    }
    case Weather::kUnauthorized:
      return random_.Chance(90) ? Status(random_.Chance(80) ? 401 : 403) : well;
    case Weather::kOverloaded: {
      if (random_.Chance(40)) return well;
      Answer answer = Status(random_.Chance(70) ? 429 : 503);
      if (random_.Chance(70))
        answer.retry_after = std::to_string(random_.Below(random_.Chance(10) ? 2'000 : 20));
      return answer;
    }
    case Weather::kMoved:
      return random_.Chance(80) ? Status(307) : well;
    case Weather::kPicky:
      return is_probe ? well : PickyAnswer(transfer);
  }
  return well;
}

Answer TrackApi::PickyAnswer(const Transfer& transfer) {
  constexpr std::array<int, 5> kRefusals = {400, 404, 410, 413, 422};
  if (random_.Chance(40)) return Status(200);
  if (transfer.kind == TransferKind::kJob || random_.Chance(30))
    return Status(kRefusals[random_.Below(kRefusals.size())]);
  Answer answer = Status(207);
  answer.body = "{\"errors\":[";
  for (std::uint32_t left = 1 + random_.Below(3); left > 0; --left) {
    const std::uint32_t index =
        random_.Below(static_cast<std::uint32_t>(transfer.batch.size()) + (random_.Chance(15) ? 2 : 0));
    if (answer.body.back() == '}') answer.body += ',';
    answer.body +=
        "{\"batch_index\":" + std::to_string(index) + R"(,"reason":"invalid","field":"name","message":"no"})";
  }
  answer.body += "]}";
  return answer;
}

Milliseconds TrackApi::Latency() {
  if (weather_ == Weather::kSlow) return Milliseconds(random_.Below(45'000));
  return Milliseconds(1 + random_.Below(random_.Chance(5) ? 3'000 : 40));
}

}  // namespace outboxd::simulation
