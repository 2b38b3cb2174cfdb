#include "daemon/admin/amended.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "core/job.h"
#include "core/job_line.h"
#include "core/job_types.h"
#include "core/result.h"
#include "core/stamped_line.h"
#include "core/time.h"
#include "core/ulid.h"
#include "daemon/admin/body.h"
#include "storage/history_pack.h"
#include "storage/inspection.h"

namespace outboxd {
namespace {

Result<DeadRow> FindLetter(Inspection& inspection, const Ulid& job) {
  ASSIGN_OR_RETURN(std::optional<DeadRow> row, inspection.Dead(job.SequencePart()));
  if (!row || row->job != job.ToText())
    return Fail(ErrorKind::kNotFound, "no such dead letter: " + job.ToText(), "job");
  return std::move(*row);
}

Result<Job> ReadLine(const DeadRow& letter, std::string line) {
  tl::expected<Job, LineError> job = ParseJobLine(std::move(line));
  if (!job) {
    const std::string& field = job.error().field;
    return Fail(ErrorKind::kInvalid, job.error().message, field.empty() ? "line" : "line." + field);
  }
  if (JobTypeName(job->type) != letter.type)
    return Fail(ErrorKind::kInvalid, "must stay " + letter.type, "line.type");
  if (job->connection != letter.connection)
    return Fail(ErrorKind::kInvalid, "must stay " + letter.connection, "line.connection");
  return std::move(*job);
}

// Attempts that are gone from the history may have had no answer.
Result<bool> MayHaveArrived(Inspection& inspection, const DeadRow& letter) {
  ASSIGN_OR_RETURN(const std::vector<AttemptRow> attempts,
                   inspection.Attempts(Ulid::Parse(letter.job).value_or(Ulid())));
  const bool is_refused = std::all_of(attempts.begin(), attempts.end(), [](const AttemptRow& attempt) {
    return attempt.status.value_or(0) >= 400 && *attempt.status < 500;
  });
  return !is_refused || attempts.size() < letter.attempts;
}

// Of a line that is damaged: the job's.
std::string OldEventId(const DeadRow& letter, const Stamp& stamp) {
  const auto job = ParseStoredLine(letter.line);
  const std::string id = job ? EventIdOf(*job, stamp) : std::string();
  return id.empty() ? stamp.id.ToText() : id;
}

Result<std::string> ChooseEventId(Inspection& inspection, const DeadRow& letter, const Stamp& stamp,
                                  EventIdChoice choice, Timestamp now, Job& job) {
  if (!IsEvent(job.type)) {
    if (choice != EventIdChoice::kNew) return std::string();
    return Fail(ErrorKind::kInvalid, "only events have an id", "event_id");
  }
  if (choice == EventIdChoice::kNew) {
    std::random_device random;
    const Ulid id = Ulid::Make(now, stamp.id.SequencePart(), (std::uint64_t{random()} << 32) | random());
    ASSIGN_OR_RETURN(job, ReadLine(letter, LineWithEventId(job, id)));
  }
  std::string id = EventIdOf(job, stamp);
  if (choice != EventIdChoice::kNotSaid || id != OldEventId(letter, stamp)) return id;
  ASSIGN_OR_RETURN(const bool may_have_arrived, MayHaveArrived(inspection, letter));
  if (!may_have_arrived) return id;
  return Fail(
      ErrorKind::kConflict,
      "an attempt may have reached Customer.io, which ignores an event whose id it has seen: say "
      "\"new\" for a new id (there may be two events then) or \"same\" to keep it (the correction may "
      "be ignored)",
      "event_id");
}

}  // namespace

Result<Amended> ReadAmended(Inspection& inspection, const Ulid& job, const AmendScope& scope, Timestamp now) {
  ASSIGN_OR_RETURN(const DeadRow letter, FindLetter(inspection, job));
  ASSIGN_OR_RETURN(Job corrected, ReadLine(letter, scope.line));
  Amended amended;
  ASSIGN_OR_RETURN(amended.event_id,
                   ChooseEventId(inspection, letter, {job, letter.accepted}, scope.event_id, now, corrected));
  amended.max_age = corrected.max_age.value_or(std::chrono::seconds(0));
  amended.amendment = {letter.sequence, letter.job, letter.connection, std::move(corrected.line),
                       std::move(corrected.customer)};
  return amended;
}

}  // namespace outboxd
