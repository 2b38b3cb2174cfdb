#include "daemon/delivery/settlement.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "tests/support/outbox_use.h"

namespace outboxd {
namespace {

constexpr Timestamp kNow = FromUnixMs(1'700'000'000'000);
constexpr double kHalf = 0.5;

std::unique_ptr<QueuedJob> JobOf(std::uint32_t charged = 0) {
  auto job = test::NewJob(test::TrackLine("1"));
  job->sequence = Sequence{1};
  job->stamp.accepted = kNow - std::chrono::seconds(10);
  job->attempts = charged + 2;
  job->charged = charged;
  return job;
}

Finished FinishedWith(int status, Ending ending = Ending::kAnswered) {
  Finished finished;
  finished.ending = ending;
  finished.answer.status = status;
  finished.answer.error = status == 0 ? "connect: Connection refused" : "";
  finished.sent = kNow - Milliseconds(30);
  finished.duration = Milliseconds(20);
  return finished;
}

Verdict VerdictOf(Fate fate) {
  Verdict verdict;
  verdict.fate = fate;
  verdict.reason = "the reason 17";
  return verdict;
}

Ruling RulingOf(Course course, bool is_charged = false) {
  Ruling ruling;
  ruling.course = course;
  ruling.is_charged = is_charged;
  return ruling;
}

TEST_CASE("settlement: each course has its outcome, and the attempt is recorded as it was judged") {
  struct Row {
    Course course;
    bool is_charged;
    std::uint32_t charged_before;
    OutcomeKind kind;
    Death death;  // with kDead
    std::uint32_t charged;
    std::optional<std::uint32_t> batch_max;
  };
  const auto none = std::nullopt;
  const std::vector<Row> rows = {
      {Course::kDeliver, false, 0, OutcomeKind::kDelivered, {}, 0, none},
      {Course::kDefer, true, 0, OutcomeKind::kDeferred, {}, 1, none},
      {Course::kDefer, false, 3, OutcomeKind::kDeferred, {}, 3, none},
      {Course::kDefer, true, 3, OutcomeKind::kDead, Death::kExhausted, 4, none},
      {Course::kReject, true, 0, OutcomeKind::kDead, Death::kRejected, 1, none},
      {Course::kReturn, false, 2, OutcomeKind::kReturned, {}, 2, none},
      {Course::kRepeat, false, 2, OutcomeKind::kReturned, {}, 2, 5},
      {Course::kSplit, false, 2, OutcomeKind::kReturned, {}, 2, 3},
  };
  RetryPolicy policy;
  policy.max_attempts = 4;
  for (const Row& row : rows) {
    CAPTURE(static_cast<int>(row.course));
    const Finished finished = FinishedWith(400);
    const Verdict verdict = VerdictOf(Fate::kRejected);
    const Outcome outcome = Settle(JobOf(row.charged_before), {finished, 5}, {verdict, "the answer"},
                                   RulingOf(row.course, row.is_charged), policy, kNow, kHalf);
    CHECK(outcome.kind == row.kind);
    CHECK(outcome.job->charged == row.charged);
    CHECK(outcome.job->attempts == row.charged_before + 3);
    CHECK(outcome.job->batch_max == row.batch_max);
    CHECK(outcome.job->due.has_value() == (row.kind == OutcomeKind::kDeferred));
    CHECK(outcome.reason == "the reason 17");
    if (row.kind == OutcomeKind::kDead) CHECK(outcome.death == row.death);
    CHECK(outcome.cause.empty() == (row.kind != OutcomeKind::kDead));
    REQUIRE(outcome.attempt);
    CHECK(outcome.attempt->result == Fate::kRejected);
    CHECK(outcome.attempt->sent == finished.sent);
    CHECK(outcome.attempt->duration == finished.duration);
    CHECK(outcome.attempt->status == finished.answer.status);
    CHECK(outcome.attempt->error == finished.answer.error);
    CHECK(outcome.attempt->answer == "the answer");
  }
}

TEST_CASE("settlement: the job keeps what the ruling says of it, and the counter at its failure") {
  const Finished finished = FinishedWith(403);
  const Verdict verdict = VerdictOf(Fate::kPausedAuth);
  Ruling ruling = RulingOf(Course::kDefer, true);
  ruling.suspicion = Suspicion::kAuth;
  ruling.refusals = 2;
  ruling.counted_at = kNow;
  const Outcome outcome = Settle(JobOf(), {finished, 1, 77}, {verdict, ""}, ruling, {}, kNow, kHalf);
  CHECK(outcome.job->suspicion == Suspicion::kAuth);
  CHECK(outcome.job->refusals == 2);
  CHECK(outcome.job->counted_at == kNow);
  CHECK(outcome.job->deliveries_at_failure == 77);
  CHECK(outcome.job->failures == 1);
}

TEST_CASE("settlement: repeats are counted in a row, until anything else becomes of the job") {
  const Finished finished = FinishedWith(0, Ending::kFailed);
  const Verdict verdict = VerdictOf(Fate::kUnanswered);
  const auto settle = [&](std::unique_ptr<QueuedJob> job, Course course) {
    return Settle(std::move(job), {finished, 1}, {verdict, ""}, RulingOf(course), {}, kNow, kHalf).job;
  };
  std::unique_ptr<QueuedJob> job = settle(settle(JobOf(), Course::kRepeat), Course::kRepeat);
  CHECK(job->unanswered == 2);
  CHECK(job->failures == 0);
  CHECK_FALSE(job->deliveries_at_failure);
  CHECK(settle(std::move(job), Course::kDefer)->unanswered == 0);
}

TEST_CASE("settlement: an attempt that nobody judged is recorded, and the job returns as it was") {
  const Finished finished = FinishedWith(0, Ending::kAborted);
  const Verdict verdict = VerdictOf(Fate::kDeferred);
  const Outcome outcome = SettleUnjudged(JobOf(3), {finished, 1}, {verdict, ""});
  CHECK(outcome.kind == OutcomeKind::kReturned);
  CHECK(outcome.job->attempts == 6);
  CHECK(outcome.job->charged == 3);
  CHECK(outcome.job->failures == 0);
  CHECK(outcome.attempt);
}

TEST_CASE("settlement: a deferred job is due by backoff and chance, no earlier than Retry-After") {
  const Finished finished = FinishedWith(503);
  Verdict verdict = VerdictOf(Fate::kDeferred);
  RetryPolicy policy;
  policy.base = std::chrono::seconds(4);
  const auto due = [&](double random) {
    return *Settle(JobOf(), {finished, 1}, {verdict, ""}, RulingOf(Course::kDefer), policy, kNow, random)
                .job->due;
  };
  CHECK(due(0.5) == kNow + std::chrono::seconds(2));
  CHECK(due(0.25) == kNow + std::chrono::seconds(1));
  verdict.retry_after = std::chrono::seconds(30);
  CHECK(due(0.5) == kNow + std::chrono::seconds(30));
}

TEST_CASE("settlement: a deferred job that is too old now is dead: expired") {
  const Finished finished = FinishedWith(503);
  const Verdict verdict = VerdictOf(Fate::kDeferred);
  RetryPolicy policy;
  policy.max_age = std::chrono::seconds(9);
  const Outcome outcome =
      Settle(JobOf(), {finished, 1}, {verdict, ""}, RulingOf(Course::kDefer), policy, kNow, kHalf);
  CHECK(outcome.kind == OutcomeKind::kDead);
  CHECK(outcome.death == Death::kExpired);
}

TEST_CASE("settlement: of a long answer the first bytes are kept") {
  const Finished finished = FinishedWith(200);
  const Verdict verdict = VerdictOf(Fate::kDelivered);
  const std::string answer(5'000, 'x');
  CHECK(Settle(JobOf(), {finished, 1}, {verdict, answer}, RulingOf(Course::kDeliver), {}, kNow, kHalf)
            .attempt->answer.size() == 1024);
}

TEST_CASE("settlement: a deferral taken back leaves no due time") {
  const Finished finished = FinishedWith(503);
  const Verdict verdict = VerdictOf(Fate::kDeferred);
  Outcome outcome = Settle(JobOf(), {finished, 1}, {verdict, ""}, RulingOf(Course::kDefer), {}, kNow, kHalf);
  ReturnInsteadOfDeferring(outcome);
  CHECK(outcome.kind == OutcomeKind::kReturned);
  CHECK_FALSE(outcome.job->due);
}

TEST_CASE("settlement: what expired or cannot be read dies without an attempt") {
  const Outcome expired = SettleExpired(JobOf());
  CHECK(expired.kind == OutcomeKind::kDead);
  CHECK(expired.death == Death::kExpired);
  CHECK_FALSE(expired.attempt);
  CHECK(expired.cause == "waited longer than its max age");
  StoredJob stored;
  stored.job = JobOf();
  stored.unreadable = "damaged row";
  const Outcome unreadable = SettleUnreadable(std::move(stored));
  CHECK(unreadable.kind == OutcomeKind::kDead);
  CHECK(unreadable.reason == "damaged row");
  CHECK(unreadable.cause == "damaged row");
  CHECK_FALSE(unreadable.attempt);
}

TEST_CASE("settlement: of a batch each refused job hears its own refusal, the others the rest") {
  BatchVerdict batch;
  batch.rest = VerdictOf(Fate::kDelivered);
  batch.refused = {{1, "no name", "{1}"}, {3, "no id", "{3}"}};
  Answer answer;
  answer.status = 207;
  answer.body = "all of it";
  BatchReading reading(batch, answer);
  std::vector<std::string> told;
  for (int job = 0; job < 5; ++job) {
    const JobVerdict verdict = reading.Next();
    told.push_back(std::string(FateName(verdict.verdict.fate)) + " " + verdict.verdict.reason + " " +
                   std::string(verdict.answer));
  }
  const std::string rest = "delivered the reason 17 ";
  CHECK(told == std::vector<std::string>{rest, "rejected no name {1}", rest, "rejected no id {3}", rest});
}

TEST_CASE("settlement: the body of an answer to a whole batch is kept with each job") {
  BatchVerdict batch;
  batch.rest = VerdictOf(Fate::kSplit);
  Answer answer;
  answer.status = 400;
  answer.body = "bad";
  BatchReading reading(batch, answer);
  CHECK(reading.Next().answer == "bad");
  CHECK(reading.Next().verdict.fate == Fate::kSplit);
}

}  // namespace
}  // namespace outboxd
