// Twenty jobs that spoil their own answers among 193 others, as time passes: the others leave as if they were
// alone.
#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "tests/daemon/delivery/delivery_rig.h"

namespace outboxd {
namespace {

using test::AnswerOf;
using test::DeliveryRig;
using test::TrackLine;

constexpr int kBad = 20;
constexpr int kOthers = 193;
constexpr Milliseconds kAnswerTime{50};

struct Kind {
  std::string name;
  std::string members;  // of its line
  Answer answer;
};

Answer OwnTimeout() {
  Answer answer;
  answer.error = "timeout: nothing for 1 ms";
  answer.fault = Fault::kOwnTimeout;
  return answer;
}

Answer Unanswered() {
  Answer answer;
  answer.error = "recv: Connection reset by peer";
  answer.fault = Fault::kUnanswered;
  return answer;
}

std::vector<Kind> Kinds() {
  const std::string hook = R"("path":"/v1/hooks")";
  return {
      {"timeout_ms 1", hook + R"(,"timeout_ms":1)", OwnTimeout()},
      {"403", hook, AnswerOf(403, "<html>blocked</html>")},
      {"500", hook, AnswerOf(500, "")},
      {"no answer on a connection in use", hook, Unanswered()},
      {"301 for its path", R"("path":"/v1/customers/a%2F%2F#/events")", AnswerOf(301, "")},
      {"404 with a page", hook + R"(,"response_type":"json")", AnswerOf(404, "<html>nothing here</html>")}};
}

std::string BadLine(const Kind& kind, int number) {
  std::string members = kind.members;
  if (const std::size_t mark = members.find('#'); mark != std::string::npos)
    members.replace(mark, 1, std::to_string(number));
  return R"({"type":"raw","method":"POST",)" + members + "}";
}

// Each request is answered after kAnswerTime, one with its own shorter patience then.
class Crowd : public DeliveryRig {
 public:
  explicit Crowd(const Kind& kind, std::uint32_t in_flight = 0, std::uint32_t window_jobs = 0) : kind_(kind) {
    if (in_flight > 0) connection.max_in_flight = in_flight;
    if (window_jobs > 0) limits.window_jobs = window_jobs;
    Start();
  }

  // How many others were delivered until `length` has passed.
  int Run(Milliseconds length) {
    const Timestamp end = now + length;
    while (delivered_ < kOthers) {
      while (FinishDue(probes) || FinishDue(out)) continue;
      DeliveryRig::Run();
      const Timestamp next = NextEvent();
      if (next > end) break;
      now = next;
    }
    return delivered_;
  }

 private:
  Timestamp NextEvent() {
    Timestamp next = dispatcher().NextWake(now);
    for (const Flight& flight : out) next = std::min(next, flight.sent + kAnswerTime);
    for (const Flight& flight : probes) next = std::min(next, flight.sent + kAnswerTime);
    return std::max(next, now + Milliseconds(1));
  }
  bool FinishDue(std::deque<Flight>& flights) {
    const auto due = std::find_if(flights.begin(), flights.end(),
                                  [&](const Flight& flight) { return now >= flight.sent + kAnswerTime; });
    if (due == flights.end()) return false;
    const bool is_probe = due->transfer.kind == TransferKind::kProbe;
    const bool is_bad = !is_probe && due->transfer.job->job.type == JobType::kRaw;
    if (!is_probe && !is_bad) ++delivered_;
    const Answer well = AnswerOf(200, is_probe ? R"({"region":"us","environment_id":1})" : "{}");
    Finish(flights, static_cast<std::size_t>(due - flights.begin()), is_bad ? kind_.answer : well);
    return true;
  }

  const Kind& kind_;
  int delivered_ = 0;
};

}  // namespace

TEST_CASE("poison: twenty jobs that spoil their own answers hold up none of 193 others") {
  for (const Kind& kind : Kinds()) {
    CAPTURE(kind.name);
    Crowd crowd(kind);
    std::vector<std::string> lines;
    for (int number = 0; number < kOthers; ++number) {
      if (number < kBad * 9 && number % 9 == 0) lines.push_back(BadLine(kind, number));
      lines.push_back(TrackLine(std::to_string(number)));
    }
    crowd.Accept(lines);
    CHECK(crowd.Run(std::chrono::seconds(20)) == kOthers);
  }
}

// Ten refusals in a row cannot be told from a connection that refuses everybody: it pauses, a second at first
// and each time twice as long, once for those and once for each of the others that is tried before a good
// one.
TEST_CASE("poison: where the twenty were accepted first, the others wait for backoffs and short pauses") {
  for (const Kind& kind : Kinds()) {
    CAPTURE(kind.name);
    Crowd crowd(kind);
    std::vector<std::string> lines;
    for (int number = 0; number < kBad; ++number) lines.push_back(BadLine(kind, number));
    for (int number = 0; number < kOthers; ++number) lines.push_back(TrackLine(std::to_string(number)));
    crowd.Accept(lines);
    const int soon = crowd.Run(std::chrono::seconds(20));
    MESSAGE(kind.name << ": " << soon << " of " << kOthers << " after 20 s");
    CHECK(soon == kOthers);
  }
}

// Each of them is to be repeated, first of all and then as the probe: as long as they were, each failure
// doubled the gate's wait.
TEST_CASE("poison: jobs without an answer, more than fit at once, take every second probe alone") {
  const Kind kind = {"no answer on a connection in use", R"("path":"/v1/hooks")", Unanswered()};
  Crowd crowd(kind, 8);
  std::vector<std::string> lines;
  for (int number = 0; number < 2 * kBad; ++number) lines.push_back(BadLine(kind, number));
  for (int number = 0; number < kOthers; ++number) lines.push_back(TrackLine(std::to_string(number)));
  crowd.Accept(lines);
  CHECK(crowd.Run(std::chrono::seconds(60)) == kOthers);
}

// As long as they kept all of the memory, the others were not even read; and as long as they had every second
// turn, each of theirs closed the gate again.
TEST_CASE("poison: more of them than memory holds do not keep another user's jobs out") {
  for (const Kind& kind : Kinds()) {
    CAPTURE(kind.name);
    Crowd crowd(kind, 0, 40);
    std::vector<std::string> lines;
    for (int number = 0; number < 200; ++number) lines.push_back(BadLine(kind, number));
    crowd.Submit(lines, 1000);
    lines.clear();
    for (int number = 0; number < kOthers; ++number) lines.push_back(TrackLine(std::to_string(number)));
    crowd.Accept(lines, 33);
    const int soon = crowd.Run(std::chrono::seconds(20));
    MESSAGE(kind.name << ": " << soon << " of " << kOthers << " after 20 s");
    CHECK(soon == kOthers);
  }
}

}  // namespace outboxd
