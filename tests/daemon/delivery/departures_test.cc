#include "daemon/delivery/departures.h"

#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

#include "daemon/delivery/transfer.h"
#include "tests/support/outbox_use.h"

namespace outboxd {
namespace {

using EventNames = std::vector<std::string>;
using Company = Departures::Company;

constexpr Timestamp kNow = FromUnixMs(1'700'000'000'000);

// Departures with what they rest on, and jobs named by their event.
struct Fixture {
  Fixture() {
    batch.mode = BatchMode::kOff;
    batch.max_items = 3;
    batch.linger = Milliseconds(10);
  }

  void Add(const std::string& customer, const std::string& name) {
    Add(test::NewJob(test::TrackLine(customer, name)));
  }
  void AddRetry(const std::string& customer, const std::string& name) {
    auto job = test::NewJob(test::TrackLine(customer, name));
    job->failures = 1;
    Add(std::move(job));
  }
  void AddRepeat(const std::string& customer, const std::string& name) {
    auto job = test::NewJob(test::TrackLine(customer, name));
    job->unanswered = 1;
    Add(std::move(job));
  }
  void AddPart(const std::string& customer, const std::string& name, std::uint32_t batch_max) {
    auto job = test::NewJob(test::TrackLine(customer, name));
    job->batch_max = batch_max;
    Add(std::move(job));
  }
  // A customer has a lane of his own.
  void Add(std::unique_ptr<QueuedJob> job) {
    job->sequence = Sequence{++last};
    job->stamp.accepted = now;
    Window::Entry& entry = window.Add(job->sequence).first;
    entry.lanes = LanesOf(job->job);
    const Admission admission = lanes.Admit(job->sequence, entry.lanes);
    window.Fill(entry, std::move(job));
    if (admission == Admission::kReady) departures.Add(entry);
    departures.CheckInvariants();
  }
  void Erase(std::uint64_t number) {
    Window::Entry& entry = window.At(Sequence{number});
    const LaneList lanes_of = entry.lanes;
    window.Erase(Sequence{number});
    LanesOpened opened;
    lanes.Release(Sequence{number}, lanes_of, opened);
    for (const Sequence sequence : opened.ready) departures.Add(window.At(sequence));
  }

  // The names of what leaves next.
  EventNames Next(Company company = Company::kSought) {
    Departures::Expired ended;
    const Departure departure = departures.Next({batch, retry, company, now, ItemsMax()}, ended);
    Note(ended);
    departures.CheckInvariants();
    window.CheckInvariants();
    EventNames names;
    if (departure.job) names.push_back(departure.job->job.name);
    for (const auto& job : departure.batch) names.push_back(job->job.name);
    left_on = departure.route;
    CHECK(departure.batch.size() != 1);
    return names;
  }
  void Sweep() {
    Departures::Expired ended;
    departures.Sweep({batch, retry, Company::kSought, now, ItemsMax()}, ended);
    Note(ended);
    departures.CheckInvariants();
  }
  std::uint32_t ItemsMax() const { return batch.mode == BatchMode::kOn ? batch.max_items : 1; }
  void Note(const Departures::Expired& ended) {
    for (const auto& job : ended) expired.push_back(job->job.name);
  }

  Window window;
  Lanes lanes{64};
  Departures departures{window, lanes};
  BatchConfig batch;
  RetryPolicy retry;
  Timestamp now = kNow;
  std::uint64_t last = 0;
  EventNames expired;
  Route left_on = Route::kPooled;  // what left last
};

TEST_CASE("departures: nothing leaves when nothing is ready") {
  Fixture fixture;
  CHECK(fixture.departures.empty());
  CHECK(fixture.Next().empty());
}

TEST_CASE("departures: fresh jobs and retries take turns") {
  Fixture fixture;
  for (const char* name : {"a", "b", "c"}) fixture.Add(name, name);
  for (const char* name : {"x", "y"}) fixture.AddRetry(name, name);
  EventNames names;
  while (!fixture.departures.empty()) names.push_back(fixture.Next().front());
  CHECK(names == EventNames{"a", "x", "b", "y", "c"});
  CHECK(fixture.window.In(Window::State::kInFlight) == 5);
}

TEST_CASE("departures: a job that left the window or its place is skipped") {
  Fixture fixture;
  for (const char* name : {"a", "b", "c"}) fixture.Add(name, name);
  fixture.Erase(1);
  fixture.window.MakeWait(fixture.window.At(Sequence{2}));
  CHECK(fixture.Next() == EventNames{"c"});
  CHECK(fixture.departures.empty());
}

TEST_CASE("departures: a job that is too old is settling instead, and the next one leaves") {
  Fixture fixture;
  fixture.retry.max_age = std::chrono::seconds(10);
  fixture.Add("a", "old");
  fixture.now += std::chrono::seconds(11);
  fixture.Add("b", "young");
  CHECK(fixture.Next() == EventNames{"young"});
  CHECK(fixture.expired == EventNames{"old"});
  CHECK(fixture.window.In(Window::State::kSettling) == 1);
}

TEST_CASE("departures: a sweep finds those too old behind a closed gate, and forgets those that are gone") {
  Fixture fixture;
  fixture.retry.max_age = std::chrono::seconds(10);
  fixture.Add("a", "old");
  fixture.AddRetry("b", "gone");
  fixture.Erase(2);
  fixture.now += std::chrono::seconds(11);
  fixture.AddPart("c", "young", 1);
  fixture.Sweep();
  CHECK(fixture.expired == EventNames{"old"});
  CHECK(fixture.Next() == EventNames{"young"});
  CHECK(fixture.departures.empty());
}

// --- batches

TEST_CASE("departures: jobs gather until the batch is full") {
  Fixture fixture;
  fixture.batch.mode = BatchMode::kOn;
  fixture.Add("a", "a");
  fixture.Add("b", "b");
  CHECK(fixture.Next().empty());
  CHECK(fixture.departures.LingersSince() == kNow);
  fixture.Add("c", "c");
  fixture.Add("d", "d");
  CHECK(fixture.Next() == EventNames{"a", "b", "c"});
  CHECK(fixture.Next().empty());
  CHECK(fixture.departures.LingersSince() == kNow);
}

TEST_CASE("departures: a batch that has lingered leaves as it is, also as a single job") {
  Fixture fixture;
  fixture.batch.mode = BatchMode::kOn;
  fixture.Add("a", "a");
  CHECK(fixture.Next().empty());
  fixture.now += Milliseconds(9);
  CHECK(fixture.Next().empty());
  fixture.now += Milliseconds(1);
  CHECK(fixture.Next() == EventNames{"a"});
  CHECK_FALSE(fixture.departures.LingersSince());
}

TEST_CASE("departures: a clock that was set back ends the lingering") {
  Fixture fixture;
  fixture.batch.mode = BatchMode::kOn;
  fixture.Add("a", "a");
  CHECK(fixture.Next().empty());
  fixture.now -= Milliseconds(1);
  CHECK(fixture.Next() == EventNames{"a"});
}

TEST_CASE("departures: a job that does not fit by bytes begins the next batch") {
  Fixture fixture;
  fixture.batch.mode = BatchMode::kOn;
  fixture.batch.max_bytes = 200;
  fixture.Add("a", std::string(80, 'a'));
  fixture.Add("b", std::string(80, 'b'));
  CHECK(fixture.Next() == EventNames{std::string(80, 'a')});
  CHECK(fixture.Next().empty());
  fixture.now += std::chrono::seconds(1);
  CHECK(fixture.Next() == EventNames{std::string(80, 'b')});
}

TEST_CASE("departures: what has no batch form goes alone, past those that linger") {
  Fixture fixture;
  fixture.batch.mode = BatchMode::kOn;
  fixture.Add("a", "a");
  fixture.Add(test::NewJob(R"({"type":"raw","method":"GET","path":"/v1/x"})"));
  CHECK(fixture.Next() == EventNames{""});
  CHECK(fixture.departures.LingersSince());
}

TEST_CASE("departures: gathered jobs leave before one of a user in trouble, who has none of their turns") {
  Fixture fixture;
  fixture.batch.mode = BatchMode::kOn;
  TroubledUsers& users = fixture.departures.troubled_users();
  users.OnFailed(User(7));
  users.OnSent(User(7));  // his turn is over
  users.OnReturned();
  auto bad = test::NewJob(R"({"type":"raw","method":"GET","path":"/v1/x"})");
  bad->uid = 7;
  fixture.Add(std::move(bad));
  fixture.Add("1", "a");
  fixture.Add("2", "b");
  CHECK(fixture.Next() == EventNames{"a", "b"});
  CHECK(fixture.Next() == EventNames{""});
  CHECK(fixture.departures.empty());
}

TEST_CASE("departures: followers ride with the first of their lane when the config says so") {
  Fixture fixture;
  fixture.batch.mode = BatchMode::kOn;
  fixture.batch.same_lane = true;
  fixture.batch.linger = Milliseconds(0);
  for (const char* name : {"a1", "a2", "a3", "a4"}) fixture.Add("a", name);
  CHECK(fixture.Next() == EventNames{"a1", "a2", "a3"});
  CHECK(fixture.window.In(Window::State::kWaiting) == 1);
}

TEST_CASE("departures: without it a lane sends one job at a time") {
  Fixture fixture;
  fixture.batch.mode = BatchMode::kOn;
  fixture.batch.linger = Milliseconds(0);
  for (const char* name : {"a1", "a2"}) fixture.Add("a", name);
  CHECK(fixture.Next() == EventNames{"a1"});
  CHECK(fixture.Next().empty());
}

TEST_CASE("departures: a job that changes who the customer is neither leads nor follows") {
  Fixture fixture;
  fixture.batch.mode = BatchMode::kOn;
  fixture.batch.same_lane = true;
  fixture.batch.linger = Milliseconds(0);
  fixture.Add("a", "a1");
  fixture.Add(test::NewJob(R"({"type":"destroy","id":"a"})"));
  fixture.Add("a", "a3");
  CHECK(fixture.Next() == EventNames{"a1"});
  CHECK(fixture.Next().empty());
}

TEST_CASE("departures: the followers of one that expired in its batch wait until that is written") {
  Fixture fixture;
  fixture.batch.mode = BatchMode::kOn;
  fixture.batch.same_lane = true;
  auto head = test::NewJob(R"({"type":"track","id":"a","name":"head","max_age":5})");
  fixture.Add(std::move(head));
  fixture.Add("a", "follower");
  fixture.Add("b", "other");
  fixture.batch.max_items = 9;
  CHECK(fixture.Next().empty());
  fixture.now += std::chrono::seconds(6);
  CHECK(fixture.Next() == EventNames{"other"});
  CHECK(fixture.expired == EventNames{"head"});
  CHECK(fixture.window.At(Sequence{2}).state() == Window::State::kWaiting);
}

TEST_CASE("departures: while the gate probes one job leaves, and the gathered ones go back to their places") {
  Fixture fixture;
  fixture.batch.mode = BatchMode::kOn;
  fixture.batch.same_lane = true;
  fixture.batch.max_items = 9;
  for (const char* name : {"a1", "a2"}) fixture.Add("a", name);
  fixture.Add("b", "b1");
  CHECK(fixture.Next().empty());
  CHECK(fixture.Next(Company::kRefused) == EventNames{"a1"});
  CHECK(fixture.window.At(Sequence{2}).state() == Window::State::kWaiting);
  CHECK(fixture.Next(Company::kRefused) == EventNames{"b1"});
  CHECK(fixture.departures.empty());
}

TEST_CASE("departures: a repeat goes first, but while the gate probes every second time alone") {
  for (const Company company : {Company::kSought, Company::kRefused}) {
    Fixture fixture;
    for (const char* name : {"repeat", "other repeat"}) fixture.AddRepeat(name, name);
    for (const char* name : {"fresh", "later"}) fixture.Add(name, name);
    EventNames names;
    while (!fixture.departures.empty()) names.push_back(fixture.Next(company).front());
    const bool probes = company == Company::kRefused;  // then the newest goes first
    CHECK(names == (probes ? EventNames{"repeat", "later", "other repeat", "fresh"}
                           : EventNames{"repeat", "other repeat", "fresh", "later"}));
  }
}

// --- parts of a refused batch

TEST_CASE("departures: parts of a refused batch go together, as many as the least of them allows") {
  Fixture fixture;
  fixture.batch.mode = BatchMode::kOn;
  fixture.batch.max_items = 9;
  fixture.batch.linger = Milliseconds(0);
  fixture.Add("x", "fresh");
  fixture.AddPart("a", "a", 2);
  fixture.AddPart("b", "b", 2);
  fixture.AddPart("c", "c", 1);
  fixture.AddPart("d", "d", 3);
  CHECK(fixture.Next() == EventNames{"a", "b"});
  CHECK(fixture.Next() == EventNames{"fresh"});
  CHECK(fixture.Next() == EventNames{"c"});
  CHECK(fixture.Next() == EventNames{"d"});
}

TEST_CASE("departures: of a batch whose connection broke twice each goes alone on a connection of its own") {
  Fixture fixture;
  fixture.batch.mode = BatchMode::kOn;
  for (const auto& [name, unanswered] :
       {std::pair("once", 1U), std::pair("twice", 2U), std::pair("too", 1U)}) {
    auto job = test::NewJob(test::TrackLine(name, name));
    job->batch_max = 3;
    job->unanswered = unanswered;
    fixture.Add(std::move(job));
  }
  CHECK(fixture.Next() == EventNames{"twice"});
  CHECK(fixture.left_on == Route::kOwn);
  CHECK(fixture.Next() == EventNames{"once", "too"});
  CHECK(fixture.left_on == Route::kPooled);
}

TEST_CASE("departures: parts of a refused batch take turns with the others, also while the gate probes") {
  for (const Company company : {Company::kSought, Company::kRefused}) {
    Fixture fixture;
    for (const char* name : {"part", "other part", "last part"}) fixture.AddPart(name, name, 1);
    for (const char* name : {"fresh", "later"}) fixture.Add(name, name);
    EventNames names;
    while (!fixture.departures.empty()) names.push_back(fixture.Next(company).front());
    const bool probes = company == Company::kRefused;  // then the newest goes first
    CHECK(names == EventNames{"part", probes ? "later" : "fresh", "other part", probes ? "fresh" : "later",
                              "last part"});
  }
}

TEST_CASE("departures: parts go one by one while the gate probes, and when batches are off") {
  Fixture fixture;
  fixture.batch.mode = BatchMode::kOn;
  for (const char* name : {"a", "b", "c", "d"}) fixture.AddPart(name, name, 4);
  CHECK(fixture.Next(Company::kRefused) == EventNames{"a"});
  fixture.batch.mode = BatchMode::kOff;
  CHECK(fixture.Next() == EventNames{"b"});
  fixture.batch.mode = BatchMode::kOn;
  CHECK(fixture.Next() == EventNames{"c", "d"});
}

TEST_CASE("departures: a part that was taken away and came back fresh holds nobody up") {
  Fixture fixture;
  fixture.batch.mode = BatchMode::kOn;
  fixture.batch.linger = Milliseconds(0);
  fixture.AddPart("a", "a", 2);
  fixture.Erase(1);
  fixture.last = 0;
  fixture.Add("a", "again");
  CHECK(fixture.Next() == EventNames{"again"});
  CHECK(fixture.Next().empty());
  CHECK(fixture.departures.empty());
}

}  // namespace
}  // namespace outboxd
