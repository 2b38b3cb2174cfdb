// Whose attempts an outage of three days uses up: nobody's, however few wait and however it looks;
// script/outage plays the same with every attempt there is. And who is charged all the same: what fails while
// others are delivered.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "tests/daemon/delivery/delivery_rig.h"

namespace outboxd {
namespace {

using test::Ask;
using test::AskText;
using test::DeliveryRig;
using test::TrackLine;

struct Outage {
  std::string name;
  Answer answer;
  bool probe_is_well = false;
};

Answer Lost(const char* error, Fault fault = Fault::kNetwork) {
  Answer answer;
  answer.error = error;
  answer.fault = fault;
  return answer;
}

Answer WithStatus(int status, const char* body) {
  Answer answer;
  answer.status = status;
  answer.body = body;
  return answer;
}

const std::vector<Outage>& Outages() {
  static const std::vector<Outage> outages = {
      {"connect refused", Lost("connect: Connection refused")},
      {"TLS trust missing", Lost("TLS: unable to get local issuer certificate")},
      {"CONNECT 407", Lost("proxy: CONNECT tunnel failed, response 407", Fault::kProxy)},
      {"DNS gone", Lost("resolve: Could not resolve host")},
      {"500 for all", WithStatus(500, "")},
      {"500 for all jobs", WithStatus(500, ""), true},
      {"timeouts", Lost("timeout: nothing for 30 s")},
  };
  return outages;
}

Answer RegionAnswer() {
  return WithStatus(200, R"({"region":"us","environment_id":1})");
}

// Everything is answered `outage`'s way until `until`, at most once in `step`, with a restart behind each
// answer. Returns how many attempts there were.
int Endure(DeliveryRig& rig, const Outage& outage, Timestamp until, Milliseconds step) {
  int attempts = 0;
  while (rig.now < until) {
    rig.Pass(step);
    for (; !rig.probes.empty(); ++attempts) {
      rig.FinishProbe(outage.probe_is_well ? RegionAnswer() : outage.answer);
      rig.Run();
    }
    if (rig.out.empty()) continue;
    for (; !rig.out.empty(); ++attempts) rig.Finish(0, outage.answer);
    rig.Run();
    rig.Start();
  }
  return attempts;
}

void DeliverAll(DeliveryRig& rig) {
  for (int round = 0; round < 10'000 && rig.Total().jobs > 0; ++round) {
    while (!rig.probes.empty()) rig.FinishProbe(RegionAnswer());
    while (!rig.out.empty()) rig.Finish(0, WithStatus(200, "{}"));
    rig.Pass(std::chrono::seconds(1));
  }
}

std::vector<std::string> OfCustomers(int count) {
  std::vector<std::string> lines;
  for (int number = 1; number <= count; ++number) lines.push_back(TrackLine(std::to_string(number)));
  return lines;
}

}  // namespace

TEST_CASE("outage: three days of any kind exhaust nobody, with a restart between any two attempts") {
  for (const Outage& outage : Outages()) {
    for (const int jobs : {1, 5, 300}) {
      CAPTURE(outage.name);
      CAPTURE(jobs);
      DeliveryRig rig;
      rig.connection.retry.max_age = std::chrono::hours(96);
      rig.connection.retry.max_attempts = 2;
      rig.Start();
      rig.Accept(OfCustomers(jobs));
      const int attempts = Endure(rig, outage, rig.now + std::chrono::hours(72), std::chrono::hours(1));
      CHECK(attempts >= 60);
      CHECK(rig.Total().dead == 0);
      DeliverAll(rig);
      CHECK(rig.Total().jobs == 0);
      CHECK(rig.Total().dead == 0);
    }
  }
}

TEST_CASE(
    "outage: a job that always fails among healthy ones is exhausted, and needs no more than max_attempts") {
  DeliveryRig rig;
  rig.connection.retry.max_attempts = 6;
  rig.connection.retry.cap = std::chrono::minutes(2);
  rig.Start();
  rig.Accept({TrackLine("bad", "bad")});
  int bad_attempts = 0;
  for (int round = 0; round < 2'000 && rig.Total().dead == 0; ++round) {
    rig.Accept({TrackLine("good" + std::to_string(round), "good")});
    // The good ones first: each of the bad one's failures comes while others are delivered.
    for (std::size_t index = 0; index < rig.out.size();) {
      if (rig.out[index].transfer.job->job.name == "bad") {
        ++index;
      } else {
        rig.Finish(index, WithStatus(200, "{}"));
      }
    }
    for (; !rig.out.empty(); ++bad_attempts) rig.Finish(0, WithStatus(500, ""));
    while (!rig.probes.empty()) rig.FinishProbe(RegionAnswer());
    rig.Pass(std::chrono::seconds(1));
  }
  CHECK(AskText(rig.file, "SELECT death FROM dead_letters") == "exhausted");
  CHECK(bad_attempts == 6);
}

TEST_CASE(
    "outage: a head that always fails, alone in its connection, lets its hundred followers out in time") {
  DeliveryRig rig;
  rig.connection.retry.max_age = std::chrono::hours(72);
  rig.Start();
  std::vector<std::string> lines = {TrackLine("1", "bad")};
  for (int number = 0; number < 100; ++number) lines.push_back(TrackLine("1", "good"));
  rig.Accept(lines);
  const Timestamp accepted = rig.now;
  while (rig.now < accepted + std::chrono::hours(72) && rig.Total().jobs > 0) {
    while (!rig.probes.empty()) {
      rig.FinishProbe(RegionAnswer());
      rig.Run();
    }
    const bool was_out = !rig.out.empty();
    while (!rig.out.empty()) {
      const bool is_bad = rig.out.front().transfer.job->job.name == "bad";
      rig.Finish(0, is_bad ? WithStatus(500, "") : WithStatus(200, "{}"));
    }
    rig.Pass(was_out ? Milliseconds(1) : std::chrono::minutes(5));
  }
  CHECK(Ask(rig.file, "SELECT count(*) FROM attempts WHERE result = 'delivered'") == 100);
  CHECK(AskText(rig.file, "SELECT death FROM dead_letters") == "exhausted");
  CHECK(rig.now - accepted < std::chrono::hours(24));
}

TEST_CASE("outage: a batch that always times out on a slow line exhausts none of its thousand jobs") {
  DeliveryRig rig;
  rig.connection.batch.mode = BatchMode::kOn;
  rig.connection.batch.linger = Milliseconds(0);
  rig.connection.retry.max_attempts = 2;
  rig.Start();
  rig.Accept(OfCustomers(1'000));
  constexpr std::size_t kFits = 60;
  std::size_t timeouts = 0;
  for (int round = 0; round < 5'000 && rig.Total().jobs > 0; ++round) {
    while (!rig.probes.empty()) rig.FinishProbe(RegionAnswer());
    while (!rig.out.empty()) {
      const bool fits = rig.out.front().transfer.Jobs().size() <= kFits;
      timeouts += fits ? 0 : 1;
      rig.Finish(0, fits ? WithStatus(200, "{}") : Lost("timeout: nothing for 30 s"));
    }
    rig.Pass(std::chrono::seconds(30));
  }
  CHECK(timeouts > 2);
  CHECK(rig.Total().jobs == 0);
  CHECK(rig.Total().dead == 0);
}

}  // namespace outboxd
