#include "core/job_types.h"

#include <doctest/doctest.h>

#include <set>

#include "tests/core/job_lines.h"

namespace outboxd {
namespace {

using members::Name;

TEST_CASE("job types: every type has a name of its own that names it") {
  std::set<std::string_view> names;
  for (const JobTypeRow& row : kJobTypes) {
    names.insert(row.name);
    CHECK(JobTypeName(row.type) == row.name);
    CHECK(kNames<JobType>.Find(row.name) == row.type);
  }
  CHECK(names.size() == kJobTypeCount);
  CHECK(JobTypeName(JobType::kDeleteDevice) == "delete_device");
  CHECK(JobTypeName(JobType::kRemoveFromSegment) == "remove_from_segment");
  CHECK(JobTypeName(JobType::kMetric) == "metric");
  CHECK(!kNames<JobType>.Find(""));
  CHECK(!kNames<JobType>.Find("Track"));
}

TEST_CASE("job types: an unknown type is answered with the list of all") {
  const std::string list =
      "identify, track, pageview, destroy, raw, suppress, unsuppress, add_device, delete_device, merge, "
      "form, add_to_segment, remove_from_segment, metric";
  CHECK(ListJobTypes().starts_with(list));
  testing::CheckRefused({{R"({"type":"identity"})", "type", "unknown type; one of " + ListJobTypes()}});
}

TEST_CASE("job types: the first of the required members that is missing is named, with what does as well") {
  const JobTypeRow& track = RowOf(JobType::kTrack);
  const Need* missing = FirstMissing(track, {Name::kType, Name::kData});
  REQUIRE(missing != nullptr);
  CHECK(TextOf(*missing) == R"("id" or "anonymous_id")");
  missing = FirstMissing(track, {Name::kType, Name::kAnonymousId});
  REQUIRE(missing != nullptr);
  CHECK(TextOf(*missing) == R"("name")");
  CHECK(FirstMissing(track, {Name::kType, Name::kId, Name::kName}) == nullptr);
}

TEST_CASE("job types: a type may hold what it requires, its options and what every line may have") {
  const members::Set allowed = RowOf(JobType::kPageview).Allowed();
  for (const Name name : {Name::kType, Name::kConnection, Name::kRef, Name::kRequest, Name::kId,
                          Name::kAnonymousId, Name::kUrl, Name::kData, Name::kEventId}) {
    CHECK(allowed.Has(name));
  }
  for (const Name name : {Name::kName, Name::kAttributes, Name::kMethod}) CHECK_FALSE(allowed.Has(name));
}

TEST_CASE("job types: only events carry a ULID, and it is theirs to choose") {
  for (const JobTypeRow& row : kJobTypes) {
    CAPTURE(row.name);
    CHECK(IsEvent(row.type) == row.Allowed().Has(Name::kEventId));
  }
}

TEST_CASE("job types: each member belongs to a type") {
  members::Set allowed;
  for (const JobTypeRow& row : kJobTypes) allowed = allowed | row.Allowed();
  for (const members::Rule& rule : members::Rules()) {
    CHECK_MESSAGE(allowed.Has(rule.name), "no type takes ", rule.text);
  }
}

}  // namespace
}  // namespace outboxd
