#include "tests/simulation/producer.h"

#include <utility>

namespace outboxd::simulation {
namespace {

bool HasValues(const std::string& type) {
  return type != "destroy" && type != "merge";
}

}  // namespace

Producer::Producer(Random& random, std::vector<std::string> connections, bool poisonous)
    : random_(random),
      connections_(std::move(connections)),
      poisonous_(poisonous),
      customers_(1 + random.Below(8)) {}

ProducedJob Producer::Next() {
  ProducedJob job;
  job.number = ++produced_;
  job.connection = random_.Pick(connections_);
  job.customers = {"c" + std::to_string(random_.Below(customers_))};
  const std::uint32_t dice = random_.Below(100);
  job.type = dice < 54   ? "track"
             : dice < 74 ? "identify"
             : dice < 80 ? "pageview"
             : dice < 86 ? "destroy"
             : dice < 92 ? "merge"
                         : "raw";
  const std::string quoted = "\"" + job.customers.front() + "\"";
  if (HasValues(job.type)) {
    // Long ones spread over sectors and pages, so that a torn write can tear them.
    const std::size_t length =
        random_.Chance(10) ? random_.Below(job.type == "identify" ? 900 : 9'000) : random_.Below(80);
    job.note = std::string(length, static_cast<char>('a' + random_.Below(26)));
    job.poison = NextPoison(job.type);
    job.is_frail = job.poison != Poison::kNone;
  }
  if (random_.Chance(7)) job.max_age_s = 1 + random_.Below(3);
  const std::string values = "{\"number\":" + std::to_string(job.number) + ",\"note\":\"" + job.note +
                             "\",\"poison\":\"" + std::string(NameOf(job.poison)) + "\"}";
  if (job.type == "track") {
    job.line = ",\"id\":" + quoted + R"(,"name":"purchase","data":)" + values;
  } else if (job.type == "pageview") {
    job.line = ",\"id\":" + quoted + R"(,"url":"https://example.com/","data":)" + values;
  } else if (job.type == "identify") {
    job.line = ",\"id\":" + quoted + ",\"attributes\":" + WithClaim(job, values);
  } else if (job.type == "destroy") {
    job.line = ",\"id\":" + quoted;
  } else if (job.type == "raw") {
    job.line = RawMembers(job, values);
  } else {
    const std::string other = Another(job);
    job.line = R"(,"primary":{"id":)" + quoted + R"(},"secondary":{"id":")" + other + "\"}";
  }
  if (job.max_age_s > 0) job.line += ",\"max_age\":" + std::to_string(job.max_age_s);
  const std::string head =
      R"({"type":")" + job.type + R"(","connection":")" + job.connection + R"(","ref":")";
  job.line = head + std::to_string(job.number) + "\"" + job.line + "}";
  return job;
}

// A customer whose order the job keeps besides its own.
std::string Producer::Another(ProducedJob& job) {
  const std::string other = "c" + std::to_string(random_.Below(customers_));
  if (other != job.customers.front()) job.customers.push_back(other);
  return other;
}

// Some claim the events of an anonymous person, whose lane may be any.
std::string Producer::WithClaim(ProducedJob& job, std::string attributes) {
  if (!random_.Chance(15)) return attributes;
  attributes.pop_back();
  return attributes + R"(,"anonymous_id":")" + Another(job) + "\"}";
}

// Rare where it holds up a lane: of the few there are some must stay free.
Poison Producer::NextPoison(const std::string& type) {
  if (!poisonous_ || !random_.Chance(type == "raw" ? 20 : 2)) return Poison::kNone;
  return static_cast<Poison>(1 + random_.Below(Names<Poison>::kCount - 1));
}

std::string Producer::RawMembers(ProducedJob& job, const std::string& values) {
  std::string path = "/v1/customers/" + job.customers.front() + "/raw";
  if (random_.Chance(50)) {
    path = "/v1/raw";
    job.customers.clear();
  }
  std::string members = R"(,"method":"POST","path":")" + path + R"(","body":)" + values;
  if (random_.Chance(50))
    members += random_.Chance(50) ? R"(,"response_type":"json")" : R"(,"response_type":"text")";
  if (random_.Chance(30)) {
    job.is_frail = true;
    members += ",\"timeout_ms\":" + std::to_string(1 + random_.Below(60));
  }
  if (random_.Chance(30)) {
    job.own_retry = {random_.Below(4), random_.Chance(30)};
    members += R"(,"retry":{"max_retries":)" + std::to_string(job.own_retry->max_retries) +
               R"(,"delay_ms":)" + std::to_string(random_.Below(2'000)) + R"(,"all_errors":)" +
               (job.own_retry->all_errors ? "true" : "false") + "}";
  }
  return members;
}

}  // namespace outboxd::simulation
