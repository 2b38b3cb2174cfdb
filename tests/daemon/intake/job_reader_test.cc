#include "daemon/intake/job_reader.h"

#include <doctest/doctest.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

namespace outboxd {
namespace {

struct Nobody final : SubmissionOrigin {
  void OnAnswered(std::vector<std::unique_ptr<Submission>>) override {}
};

struct Fixture {
  Nobody nobody;
  JobReader reader{{{"default", std::chrono::seconds(100)}, {"other", std::chrono::seconds(5)}}};
  ProducerSubmission submission{nobody};

  const LineReply& Read(std::string line) {
    reader.Read(std::move(line), 7, submission);
    return submission.replies.back();
  }
};

TEST_CASE("job reader: a good line becomes a job with its producer's user, and is owed a reply") {
  Fixture fixture;
  const LineReply& reply = fixture.Read(R"({"type":"destroy","id":1,"connection":"other","ref":"r"})");
  CHECK(reply.refusal == nullptr);
  CHECK(reply.has_ref);
  CHECK(reply.ref == "r");
  REQUIRE(fixture.submission.jobs.size() == 1);
  CHECK(fixture.submission.jobs[0]->job.connection == "other");
  CHECK(fixture.submission.jobs[0]->uid == 7);
}

TEST_CASE("job reader: each refused line says why, and becomes no job") {
  Fixture fixture;
  const auto code = [&](const std::string& line) {
    const LineReply& reply = fixture.Read(line);
    REQUIRE(reply.refusal);
    return reply.refusal->code;
  };
  CHECK(code("{") == Refusal::kInvalidJson);
  CHECK(code("{}") == Refusal::kInvalidJob);
  CHECK(code(R"({"type":"destroy","id":1,"connection":"gone","ref":"r"})") == Refusal::kUnknownConnection);
  CHECK(fixture.submission.replies.back().refusal->field == "connection");
  CHECK(fixture.submission.replies.back().refusal->ref == "r");
  fixture.reader.Configure({{"gone", std::chrono::seconds(1)}});
  CHECK(fixture.Read(R"({"type":"destroy","id":1,"connection":"gone"})").refusal == nullptr);
  fixture.reader.StopAccepting();
  CHECK(code(R"({"type":"destroy","id":1,"connection":"gone"})") == Refusal::kBusy);
  CHECK(code("{") == Refusal::kInvalidJson);
  CHECK(fixture.submission.jobs.size() == 1);
  CHECK(fixture.submission.replies.size() == 6);
}

TEST_CASE("job reader: a line may not ask for a longer max_age than its connection grants") {
  Fixture fixture;
  CHECK(fixture.Read(R"({"type":"destroy","id":1,"max_age":100})").refusal == nullptr);
  CHECK(fixture.Read(R"({"type":"destroy","id":1,"max_age":5,"connection":"other"})").refusal == nullptr);
  for (const char* line : {R"({"type":"destroy","id":1,"max_age":101,"ref":"r"})",
                           R"({"type":"destroy","id":1,"max_age":6,"connection":"other","ref":"r"})"}) {
    const LineReply& reply = fixture.Read(line);
    REQUIRE(reply.refusal);
    CHECK(reply.refusal->code == Refusal::kInvalidJob);
    CHECK(reply.refusal->field == "max_age");
    CHECK(reply.refusal->message.find("ten times retry.max_age") != std::string::npos);
    CHECK(reply.refusal->ref == "r");
  }
  CHECK(fixture.submission.jobs.size() == 2);
}

}  // namespace
}  // namespace outboxd
