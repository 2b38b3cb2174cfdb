#include "tests/simulation/producer.h"

#include <utility>

namespace outboxd::simulation {

Producer::Producer(Random& random, std::vector<std::string> connections)
    : random_(random), connections_(std::move(connections)), customers_(1 + random.Below(8)) {}

ProducedJob Producer::Next() {
  ProducedJob job;
  job.number = ++produced_;
  job.connection = random_.Pick(connections_);
  job.customers = {"c" + std::to_string(random_.Below(customers_))};
  const std::uint32_t dice = random_.Below(100);
  job.type = dice < 60   ? "track"
             : dice < 80 ? "identify"
             : dice < 86 ? "pageview"
             : dice < 93 ? "destroy"
                         : "merge";
  const std::string quoted = "\"" + job.customers.front() + "\"";
  if (job.type != "destroy" && job.type != "merge") {
    // Long ones spread over sectors and pages, so that a torn write can tear them.
    const std::size_t length =
        random_.Chance(10) ? random_.Below(job.type == "identify" ? 900 : 9'000) : random_.Below(80);
    job.note = std::string(length, static_cast<char>('a' + random_.Below(26)));
  }
  if (random_.Chance(7)) job.max_age_s = 1 + random_.Below(3);
  const std::string values = "{\"number\":" + std::to_string(job.number) + ",\"note\":\"" + job.note + "\"}";
  if (job.type == "track") {
    job.line = ",\"id\":" + quoted + R"(,"name":"purchase","data":)" + values;
  } else if (job.type == "pageview") {
    job.line = ",\"id\":" + quoted + R"(,"url":"https://example.com/","data":)" + values;
  } else if (job.type == "identify") {
    job.line = ",\"id\":" + quoted + ",\"attributes\":" + values;
  } else if (job.type == "destroy") {
    job.line = ",\"id\":" + quoted;
  } else {
    const std::string other = "c" + std::to_string(random_.Below(customers_));
    job.line = R"(,"primary":{"id":)" + quoted + R"(},"secondary":{"id":")" + other + "\"}";
    if (other != job.customers.front()) job.customers.push_back(other);
  }
  if (job.max_age_s > 0) job.line += ",\"max_age\":" + std::to_string(job.max_age_s);
  const std::string head =
      R"({"type":")" + job.type + R"(","connection":")" + job.connection + R"(","ref":")";
  job.line = head + std::to_string(job.number) + "\"" + job.line + "}";
  return job;
}

}  // namespace outboxd::simulation
