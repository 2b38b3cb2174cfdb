#include "daemon/intake/track_answers.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace outboxd {
namespace {

TEST_CASE("track answers: an error has the shape of its version of the API") {
  const Error error{ErrorKind::kMissing, "is required", "name"};
  const HttpResponse first =
      track_answers::Refused(400, TrackRoute{.kind = TrackKind::kJob, .type = JobType::kIdentify}, error);
  CHECK(first.status == 400);
  CHECK(first.body == R"({"meta":{"error":"name is required"}})");
  const HttpResponse second = track_answers::Refused(400, EntityRoute(), error);
  CHECK(second.body == R"({"errors":[{"reason":"required","field":"name","message":"name is required"}]})");
  const Error whole{ErrorKind::kInvalid, "is not JSON", {}};
  CHECK(
      track_answers::EntityErrors(207, {track_answers::EntityErrorOf(whole, 3)}).body ==
      R"({"errors":[{"batch_index":3,"reason":"invalid","field":"","message":"the request is not JSON"}]})");
}

TEST_CASE("track answers: what may be tried again says when") {
  using Headers = std::vector<std::pair<std::string, std::string>>;
  CHECK(track_answers::Unavailable(Refusal::kBusy, "no").headers == Headers{{"Retry-After", "1"}});
  CHECK(track_answers::Unavailable(Refusal::kSpoolFull, "no").headers == Headers{{"Retry-After", "5"}});
  CHECK(track_answers::Overloaded().headers == Headers{{"Retry-After", "1"}});
}

TEST_CASE("track answers: the ids of stored jobs are shown, as many as every client takes") {
  const std::vector<Ulid> jobs(300);
  const HttpResponse answer = track_answers::Stored(track_answers::Json(200, "{}"), jobs);
  REQUIRE(answer.headers.size() == 1);
  CHECK(answer.headers[0].first == "X-Outbox-Job");
  CHECK(answer.headers[0].second.size() == 256 * 27 - 1);
}

}  // namespace
}  // namespace outboxd
