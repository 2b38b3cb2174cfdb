#include "tests/simulation/weather.h"

#include <array>
#include <cstddef>
#include <utility>

namespace outboxd::simulation {
namespace {

// The body of a refusal as the API writes it: `version` 0 and 1 in both of its versions, 2 in v2 alone.
Said Refusal(int status, std::uint32_t version) {
  constexpr std::array<const char*, 3> kBodies = {
      R"({"meta":{"error":"name is required"}})", R"({"meta":{"errors":["name is required"]}})",
      R"({"errors":[{"reason":"required","field":"name","message":"name is required"}]})"};
  Said said;
  said.answer.status = status;
  said.answer.body = kBodies[version];
  said.voice = version == 2 ? Voice::kApiV2 : Voice::kApi;
  return said;
}

Said InOtherWords(int status, std::string body, Voice voice) {
  Said said;
  said.answer.status = status;
  said.answer.body = std::move(body);
  said.voice = voice;
  return said;
}

}  // namespace

Said Well(const Transfer& transfer) {
  Said said = WithStatus(200);
  if (transfer.kind == TransferKind::kProbe) said.answer.body = R"({"region":"us","environment_id":1})";
  return said;
}

Said WithStatus(int status) {
  if (status / 100 == 4) return Refusal(status, 0);
  Said said;
  said.answer.status = status;
  said.answer.body = "{}";
  if (status / 100 == 3) said.answer.location = "https://track-eu.customer.io/";
  return said;
}

Said Page(int status) {
  return InOtherWords(status, "<!DOCTYPE html><html><head><title>Log in</title></head></html>", Voice::kPage);
}

Said Lost(std::string error, Fault fault) {
  Said said;
  said.answer.error = std::move(error);
  said.answer.fault = fault;
  return said;
}

std::string Weather::Name() const {
  constexpr std::array<const char*, kKinds> kNames = {
      "calm",   "down",   "flaky",  "unauthorized", "overloaded", "moved",  "picky",  "slow",
      "breaks", "locked", "portal", "wrong host",   "proxy",      "silent", "broken", "odd"};
  return kNames[static_cast<std::size_t>(kind_)] + std::string(is_total_ ? ", total" : "");
}

void Weather::Change() {
  kind_ = random_.Chance(25) ? Kind::kCalm
                             : static_cast<Kind>(random_.Below(random_.Chance(50) ? kMixed : kKinds));
  is_total_ = random_.Chance(50);
}

void Weather::GoDown() {
  constexpr std::array<Kind, 7> kOutages = {Kind::kDown,  Kind::kLocked, Kind::kPortal, Kind::kWrongHost,
                                            Kind::kProxy, Kind::kSilent, Kind::kBroken};
  kind_ = kOutages[random_.Below(kOutages.size())];
  is_total_ = random_.Chance(50);
}

Said Weather::AnswerTo(const Transfer& transfer) {
  const bool is_probe = transfer.kind == TransferKind::kProbe;
  switch (kind_) {
    case Kind::kCalm:
    case Kind::kSlow:
      break;
    case Kind::kDown:
      return random_.Chance(95) ? Lost("connect: Connection refused") : WithStatus(503);
    case Kind::kFlaky:
      return random_.Chance(33) ? Well(transfer) : Flaky();
    case Kind::kUnauthorized:
      return random_.Chance(90) ? WithStatus(random_.Chance(80) ? 401 : 403) : Well(transfer);
    case Kind::kOverloaded:
      return random_.Chance(40) ? Well(transfer) : Overloaded();
    case Kind::kMoved:
      return random_.Chance(80) ? WithStatus(307) : Well(transfer);
    case Kind::kPicky:
      return is_probe || random_.Chance(40) ? Well(transfer) : Picky(transfer);
    case Kind::kLocked:
      return WithStatus(401);
    case Kind::kPortal:
      return Page(200);
    case Kind::kWrongHost:
      return Page(404);
    case Kind::kProxy:
      return Proxy();
    case Kind::kSilent:
      return Lost("timeout: nothing for 30 s");
    case Kind::kBroken:
      return is_probe && !is_total_ ? Well(transfer) : WithStatus(500);
    case Kind::kBreaks:
      return is_probe ? Well(transfer) : Breaking(transfer.route);
    case Kind::kOdd:
      return !is_probe && (is_total_ || random_.Chance(30)) ? Odd() : Well(transfer);
  }
  return Well(transfer);
}

Said Weather::Flaky() {
  constexpr std::array<int, 7> kStatuses = {500, 502, 408, 421, 423, 425, 504};
  const std::uint32_t dice = random_.Below(10);
  if (dice == 0) return Lost("connect: Connection refused");
  return dice < 4 ? Lost("recv: Connection reset by peer")
                  : WithStatus(kStatuses[random_.Below(kStatuses.size())]);
}

Said Weather::Overloaded() {
  Said said = WithStatus(random_.Chance(70) ? 429 : 503);
  if (random_.Chance(70))
    said.answer.retry_after = std::to_string(random_.Below(random_.Chance(10) ? 2'000 : 20));
  return said;
}

Said Weather::Picky(const Transfer& transfer) {
  constexpr std::array<int, 5> kRefusals = {400, 410, 413, 422, 404};
  const bool is_job = transfer.kind == TransferKind::kJob;
  const std::uint32_t kinds =
      is_job ? kRefusals.size() : kRefusals.size() - 1;  // a host either has batches or not
  if (is_job || random_.Chance(30)) return Refusal(kRefusals[random_.Below(kinds)], random_.Below(3));
  Said said = WithStatus(207);
  std::string& body = said.answer.body;
  body = "{\"errors\":[";
  for (std::uint32_t left = 1 + random_.Below(3); left > 0; --left) {
    const std::uint32_t index =
        random_.Below(static_cast<std::uint32_t>(transfer.batch.size()) + (random_.Chance(15) ? 2 : 0));
    if (body.back() == '}') body += ',';
    body +=
        "{\"batch_index\":" + std::to_string(index) + R"(,"reason":"invalid","field":"name","message":"no"})";
  }
  body += "]}";
  return said;
}

Said Weather::NoRoute() {
  const int status = random_.Chance(80) ? 404 : 405;
  switch (random_.Below(3)) {
    case 0:
      return Page(status);
    case 1:
      return InOtherWords(status, "404 page not found", Voice::kText);
    default:
      return Refusal(status, random_.Below(3));
  }
}

// Whether the request was taken up is not known to who sent it, and not to us.
Said Weather::Breaking(Route route) {
  if (route == Route::kPooled) {
    if (!is_total_ && random_.Chance(50)) return WithStatus(200);
    return Lost("recv: Connection reset by peer", Fault::kUnanswered);
  }
  if (random_.Chance(is_total_ ? 60 : 10)) return Lost("HTTP/2: refused by GOAWAY", Fault::kUnanswered);
  return random_.Chance(10) ? Lost("recv: Connection reset by peer") : WithStatus(200);
}

Said Weather::Proxy() {
  return is_total_ ? WithStatus(407) : Lost("proxy: CONNECT tunnel failed, response 407", Fault::kProxy);
}

Said Weather::Odd() {
  const int status = random_.Chance(50) ? 200 : random_.Chance(50) ? 404 : 400;
  if (random_.Chance(40)) return Page(status);
  if (status == 200 || random_.Chance(50)) return InOtherWords(status, "upstream is gone", Voice::kText);
  return InOtherWords(status, R"({"error":{"code":404}})", Voice::kJson);
}

Milliseconds Weather::Latency() {
  if (kind_ == Kind::kSlow) return Milliseconds(random_.Below(45'000));
  if (kind_ == Kind::kSilent) return std::chrono::hours(1);
  return Milliseconds(1 + random_.Below(random_.Chance(5) ? 3'000 : 40));
}

}  // namespace outboxd::simulation
