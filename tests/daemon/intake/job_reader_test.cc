#include "daemon/intake/job_reader.h"

#include <doctest/doctest.h>

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
  JobReader reader{{"default", "other"}};
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
  fixture.reader.Configure({"gone"});
  CHECK(fixture.Read(R"({"type":"destroy","id":1,"connection":"gone"})").refusal == nullptr);
  fixture.reader.StopAccepting();
  CHECK(code(R"({"type":"destroy","id":1,"connection":"gone"})") == Refusal::kBusy);
  CHECK(code("{") == Refusal::kInvalidJson);
  CHECK(fixture.submission.jobs.size() == 1);
  CHECK(fixture.submission.replies.size() == 6);
}

}  // namespace
}  // namespace outboxd
