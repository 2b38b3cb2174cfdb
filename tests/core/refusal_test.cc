#include "core/refusal.h"

#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

namespace outboxd {
namespace {

TEST_CASE("refusal: each code tells the producer what to do next") {
  const std::vector<std::pair<std::string, AfterRefusal>> rows{
      {"invalid_json", AfterRefusal::kSkip},   {"invalid_job", AfterRefusal::kSkip},
      {"too_large", AfterRefusal::kSkip},      {"unknown_connection", AfterRefusal::kSkip},
      {"forbidden", AfterRefusal::kStop},      {"busy", AfterRefusal::kTryAgain},
      {"spool_full", AfterRefusal::kTryAgain}, {"internal", AfterRefusal::kTryAgain},
  };
  CHECK(rows.size() == kNames<Refusal>.size());
  for (const auto& [name, next] : rows) {
    CAPTURE(name);
    const std::optional<Refusal> refusal = kNames<Refusal>.Find(name);
    REQUIRE(refusal);
    CHECK(NameOf(*refusal) == name);
    CHECK(AfterRefusalOf(*refusal) == next);
    CHECK(EndsConnection(*refusal) == (name == "too_large" || name == "forbidden"));
  }
}

TEST_CASE("refusal: a job that could not be stored is refused for what the error asks of its producer") {
  CHECK(RefusalOf(ErrorKind::kBusy) == Refusal::kBusy);
  CHECK(RefusalOf(ErrorKind::kFull) == Refusal::kSpoolFull);
  CHECK(RefusalOf(ErrorKind::kIo) == Refusal::kInternal);
  CHECK(RefusalOf(ErrorKind::kCorrupt) == Refusal::kInternal);
}

}  // namespace
}  // namespace outboxd
