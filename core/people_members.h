// core/people_members.h — the members by which merge, form and segment jobs name people, and so their lanes.
//
// Errors: kInvalid; `field` is the path below the member ("" for the member itself), of CheckForm() and
// CheckSegment() the path below the line.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/job.h"
#include "core/object_scan.h"
#include "core/result.h"

namespace outboxd::members {

// As it would stand in a v1 path, so that a person named in either way has one lane. `kind`: "id", "email",
// "cio_id", … May be longer than an identifier: core/acceptance.h.
std::string LaneName(std::string_view kind, std::string value);

// The lane of an anonymous person, whose events an identify claims by that attribute. nullopt: `member` names
// nobody.
std::optional<std::string> AnonymousLane(const Member& member, std::string_view json);

namespace people {

Result<void> ReadPrimary(const Member& member, Job& job);
Result<void> ReadSecondary(const Member& member, Job& job);
Result<void> ReadFormId(const Member& member, Job& job);
Result<void> ReadSegmentId(const Member& member, Job& job);
Result<void> ReadIds(const Member& member, Job& job);
Result<void> ReadIdType(const Member& member, Job& job);

// An event that invites somebody who is no customer yet: it names a recipient instead.
bool IsInvite(const Job& job);

// Of a job that has what its type requires: fill in its lanes.
Result<void> CheckForm(Job& job);
Result<void> CheckSegment(Job& job);

}  // namespace people
}  // namespace outboxd::members
