#include "core/ruling.h"

#include <doctest/doctest.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "core/job.h"
#include "core/policy.h"
#include "core/time.h"
#include "core/verdict.h"

namespace outboxd {
namespace {

constexpr Timestamp kNow{std::chrono::hours(400'000)};

Answer AnswerOf(int status, Fault fault = Fault::kNetwork) {
  Answer answer;
  answer.status = status;
  if (status == 0) answer.fault = fault;
  return answer;
}

Verdict VerdictOf(Fate fate) {
  Verdict verdict;
  verdict.fate = fate;
  return verdict;
}

// The connection delivered `since_sent` others while the request was out.
Standing After(std::uint64_t since_sent, ProbeWord probe = ProbeWord::kNone) {
  Standing standing;
  standing.deliveries = 100 + since_sent;
  standing.deliveries_at_sent = 100;
  standing.probe = probe;
  return standing;
}

struct Case {
  QueuedJob job;
  std::size_t jobs = 1;
  RetryPolicy policy;
  Timestamp now = kNow;

  Ruling Of(Fate fate, const Answer& answer, const Standing& standing) const {
    Verdict verdict = VerdictOf(fate);
    if (fate == Fate::kNotTrackApi)
      verdict.believed = answer.status / 100 == 2 ? Fate::kDeferred : Fate::kRejected;
    return Rule(verdict, answer, job, jobs, standing, policy, now);
  }
  bool Needs(Fate fate, const Answer& answer, const Standing& standing) const {
    return NeedsProbe(VerdictOf(fate), answer, job, jobs, standing, policy, now);
  }
};

TEST_CASE("ruling: a failure is charged only if another job was delivered since the last one") {
  Case one;
  CHECK_FALSE(one.Of(Fate::kDeferred, AnswerOf(503), After(0)).is_charged);
  CHECK(one.Of(Fate::kDeferred, AnswerOf(503), After(1)).is_charged);
  one.job.deliveries_at_failure = 101;
  CHECK_FALSE(one.Of(Fate::kDeferred, AnswerOf(0), After(1)).is_charged);
  CHECK(one.Of(Fate::kDeferred, AnswerOf(0), After(2)).is_charged);
  one.job.deliveries_at_failure = 50;  // long before this request left
  CHECK(one.Of(Fate::kDeferred, AnswerOf(0), After(0)).is_charged);
}

TEST_CASE("ruling: a raw job with a retry rule of its own is charged for every attempt") {
  Case one;
  one.job.job.raw = std::make_unique<RawCall>();
  CHECK_FALSE(one.Of(Fate::kDeferred, AnswerOf(503), After(0)).is_charged);
  one.job.job.raw->retry.emplace();
  CHECK(one.Of(Fate::kDeferred, AnswerOf(503), After(0)).is_charged);
}

TEST_CASE("ruling: a request with several jobs charges and suspects nobody, and goes again in halves") {
  Case batch;
  batch.jobs = 8;
  batch.job.failures = 5;
  struct Row {
    int status;
    std::uint64_t since_sent;
    bool is_halved;
  };
  for (const Row row : {Row{0, 0, true}, {0, 4, true}, {503, 0, false}, {503, 1, true}, {429, 4, false}}) {
    CAPTURE(row.status);
    const Ruling ruling = batch.Of(Fate::kDeferred, AnswerOf(row.status), After(row.since_sent));
    CHECK(ruling.course == Course::kDefer);
    CHECK_FALSE(ruling.is_charged);
    CHECK(ruling.suspicion == Suspicion::kNone);
    CHECK(ruling.is_halved == row.is_halved);
  }
  CHECK(batch.Of(Fate::kPausedAuth, AnswerOf(403), After(1, ProbeWord::kWell)).course == Course::kSplit);
  CHECK(batch.Of(Fate::kNotTrackApi, AnswerOf(404), After(1, ProbeWord::kWell)).course == Course::kSplit);
}

TEST_CASE("ruling: the like again, alone, while the connection is well makes a suspect") {
  Case one;
  CHECK(one.Of(Fate::kDeferred, AnswerOf(500), After(3)).suspicion == Suspicion::kNone);
  one.job.failures = 1;
  CHECK(one.Of(Fate::kDeferred, AnswerOf(500), After(3)).suspicion == Suspicion::kTrouble);
  CHECK(one.Of(Fate::kDeferred, AnswerOf(0), After(3)).suspicion == Suspicion::kTrouble);
  CHECK(one.Of(Fate::kDeferred, AnswerOf(500), After(0, ProbeWord::kWell)).suspicion == Suspicion::kTrouble);
  CHECK(one.Of(Fate::kDeferred, AnswerOf(500), After(0)).suspicion == Suspicion::kNone);
  CHECK(one.Of(Fate::kDeferred, AnswerOf(500), After(0, ProbeWord::kUnwell)).suspicion == Suspicion::kNone);
  CHECK(one.Of(Fate::kDeferred, AnswerOf(429), After(3)).suspicion == Suspicion::kNone);
  CHECK(one.Of(Fate::kDeferred, AnswerOf(0, Fault::kOwnTimeout), After(3)).suspicion == Suspicion::kNone);
}

TEST_CASE("ruling: an answer that may be the job's own fault waits for the probe") {
  const Case one;
  for (const Fate fate : {Fate::kPausedAuth, Fate::kPausedRegion, Fate::kNotTrackApi}) {
    CHECK(one.Needs(fate, AnswerOf(403), After(0)));
    CHECK_FALSE(one.Needs(fate, AnswerOf(403), After(0, ProbeWord::kUnwell)));
    CHECK(one.Of(fate, AnswerOf(403), After(9, ProbeWord::kUnwell)).course == Course::kReturn);
    CHECK_FALSE(one.Of(fate, AnswerOf(403), After(9, ProbeWord::kUnwell)).is_charged);
  }
  CHECK_FALSE(one.Needs(Fate::kDeferred, AnswerOf(500), After(0)));
  CHECK_FALSE(one.Needs(Fate::kPausedProxy, AnswerOf(407), After(0)));
}

TEST_CASE("ruling: trouble that a job gets again asks the probe, unless others were delivered") {
  Case again;
  again.job.failures = 1;
  CHECK(again.Needs(Fate::kDeferred, AnswerOf(500), After(0)));
  CHECK(again.Needs(Fate::kDeferred, AnswerOf(0), After(0)));
  CHECK_FALSE(again.Needs(Fate::kDeferred, AnswerOf(500), After(1)));
  CHECK_FALSE(again.Needs(Fate::kDeferred, AnswerOf(500), After(0, ProbeWord::kUnwell)));
  CHECK_FALSE(again.Needs(Fate::kDeferred, AnswerOf(429), After(0)));
  again.jobs = 2;
  CHECK_FALSE(again.Needs(Fate::kDeferred, AnswerOf(500), After(0)));
  again.jobs = 1;
  again.job.suspicion = Suspicion::kTrouble;
  CHECK_FALSE(again.Needs(Fate::kDeferred, AnswerOf(500), After(0)));
}

TEST_CASE("ruling: refused although the connection is well, a job is a suspect at once") {
  const Case one;
  const Ruling ruling = one.Of(Fate::kPausedAuth, AnswerOf(403), After(0, ProbeWord::kWell));
  CHECK(ruling.course == Course::kDefer);
  CHECK(ruling.suspicion == Suspicion::kAuth);
  CHECK(ruling.refusals == 1);
  CHECK(ruling.counted_at == kNow);
  CHECK_FALSE(ruling.is_charged);
  CHECK(one.Of(Fate::kPausedRegion, AnswerOf(301), After(0, ProbeWord::kWell)).suspicion ==
        Suspicion::kRegion);
}

TEST_CASE("ruling: refused alike three times over a quarter of an hour, others delivered between, it dies") {
  Case one;
  one.job.suspicion = Suspicion::kAuth;
  one.job.refusals = 1;
  one.job.counted_at = kNow;
  one.job.deliveries_at_failure = 100;
  const auto refuse = [&](std::uint64_t since) {
    const Ruling ruling = one.Of(Fate::kPausedAuth, AnswerOf(403), After(since, ProbeWord::kWell));
    one.job.refusals = ruling.refusals;
    one.job.counted_at = ruling.counted_at;
    return ruling.course;
  };
  one.now += std::chrono::minutes(7);
  CHECK(refuse(1) == Course::kDefer);
  CHECK(one.job.refusals == 1);  // too soon
  one.now = kNow + std::chrono::minutes(8);
  CHECK(refuse(0) == Course::kDefer);
  CHECK(one.job.refusals == 1);  // nobody else was delivered
  CHECK(refuse(1) == Course::kDefer);
  CHECK(one.job.refusals == 2);
  one.now += std::chrono::minutes(8);
  CHECK(one.Of(Fate::kPausedRegion, AnswerOf(301), After(1, ProbeWord::kWell)).refusals == 1);  // not alike
  CHECK(refuse(1) == Course::kReject);
}

TEST_CASE("ruling: an answer that is not the Track API's is believed if others were delivered meanwhile") {
  const Case one;
  const Standing alone = After(0, ProbeWord::kWell);
  const Standing among_others = After(1, ProbeWord::kWell);
  CHECK(one.Of(Fate::kNotTrackApi, AnswerOf(404), alone).suspicion == Suspicion::kNotTrackApi);
  CHECK(one.Of(Fate::kNotTrackApi, AnswerOf(404), alone).course == Course::kDefer);
  CHECK(one.Of(Fate::kNotTrackApi, AnswerOf(404), among_others).course == Course::kReject);
  const Ruling disbelieved = one.Of(Fate::kNotTrackApi, AnswerOf(200), among_others);
  CHECK(disbelieved.course == Course::kDefer);
  CHECK(disbelieved.is_charged);
}

TEST_CASE("ruling: no answer on a connection that broke is repeated three times, then it has failed") {
  Case one;
  for (one.job.unanswered = 0; one.job.unanswered < 3; ++one.job.unanswered) {
    const Ruling ruling = one.Of(Fate::kUnanswered, AnswerOf(0, Fault::kUnanswered), After(5));
    CHECK(ruling.course == Course::kRepeat);
    CHECK_FALSE(ruling.is_charged);
  }
  CHECK(one.Of(Fate::kUnanswered, AnswerOf(0, Fault::kUnanswered), After(5)).course == Course::kDefer);
  one.job.unanswered = 0;
  one.job.job.raw = std::make_unique<RawCall>();
  one.job.job.raw->retry.emplace();
  CHECK(one.Of(Fate::kUnanswered, AnswerOf(0, Fault::kUnanswered), After(5)).course == Course::kDefer);
}

TEST_CASE("ruling: a head alone with its followers is charged by its own answer, once in a while") {
  Case one;
  Standing standing = After(0);
  standing.is_lone_head = true;
  CHECK(one.Needs(Fate::kDeferred, AnswerOf(500), standing));
  for (const int status : {0, 408, 429, 502, 503, 504})
    CHECK_FALSE(one.Needs(Fate::kDeferred, AnswerOf(status), standing));
  standing.probe = ProbeWord::kUnwell;
  CHECK_FALSE(one.Of(Fate::kDeferred, AnswerOf(500), standing).is_charged);
  standing.probe = ProbeWord::kWell;
  const Ruling charged = one.Of(Fate::kDeferred, AnswerOf(500), standing);
  CHECK(charged.is_charged);
  CHECK(charged.counted_at == kNow);
  CHECK(charged.suspicion == Suspicion::kNone);
  one.job.failures = 1;  // now a suspect, which the same rule charges
  one.job.suspicion = Suspicion::kTrouble;
  one.job.counted_at = kNow;
  one.now += std::chrono::minutes(53);  // 72 h / (4 × 20) are 54 minutes
  CHECK_FALSE(one.Of(Fate::kDeferred, AnswerOf(500), standing).is_charged);
  one.now += std::chrono::minutes(1);
  CHECK(one.Of(Fate::kDeferred, AnswerOf(500), standing).is_charged);
  standing.is_lone_head = false;
  CHECK_FALSE(one.Of(Fate::kDeferred, AnswerOf(500), standing).is_charged);
}

}  // namespace
}  // namespace outboxd
