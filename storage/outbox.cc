#include "storage/outbox.h"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>

#include "core/gate.h"
#include "core/job.h"
#include "core/job_types.h"
#include "core/result.h"
#include "core/time.h"
#include "core/ulid.h"
#include "storage/boots.h"
#include "storage/column.h"
#include "storage/counters.h"
#include "storage/database.h"
#include "storage/open.h"
#include "storage/outbox_file.h"
#include "storage/upgrade.h"

namespace outboxd {

Outbox::Outbox(Parts parts, std::uint64_t seed)
    : file_(std::move(parts.file)),
      sequences_(std::move(parts.sequences)),
      outcomes_(std::move(parts.outcomes)),
      operator_work_(*file_),
      maintenance_(*file_),
      random_(seed) {}

Result<Outbox> Outbox::Assemble(std::unique_ptr<OutboxFile> file, std::uint64_t seed) {
  ASSIGN_OR_RETURN(Sequences sequences, Sequences::Load(file->database()));
  ASSIGN_OR_RETURN(OutcomeWriter outcomes, OutcomeWriter::Prepare(*file));
  Outbox outbox(Parts{std::move(file), std::move(sequences), std::move(outcomes)}, seed);
  RETURN_IF_ERROR(outbox.Prepare());
  return outbox;
}

namespace {

// Sixteen digits, and nothing that the random part of a job id would tell of it.
std::string StampFrom(std::uint64_t seed) {
  std::mt19937_64 random(~seed);
  std::string stamp;
  for (int digit = 0; digit < 16; ++digit) stamp += "0123456789abcdef"[random() >> 60];
  return stamp;
}

}  // namespace

Result<Outbox> Outbox::Open(const std::filesystem::path& file, std::uint64_t seed,
                            const BeforeUpgrade& before) {
  ASSIGN_OR_RETURN(std::unique_ptr<OutboxFile> opened, OutboxFile::Open(file, StampFrom(seed), before));
  Result<Outbox> outbox = Assemble(std::move(opened), seed);
  if (!outbox) return Failure(AsDamage(file, std::move(outbox).error()));
  return outbox;
}

template <typename Work>
Result<void> Outbox::Transaction(OutboxFile::Storing storing, const Work& work) {
  const Sequences::Position before = sequences_.Now();
  Result<void> done = file_->Transaction(storing, work);
  if (!done) sequences_.GoBack(before);
  return done;
}

Result<void> Outbox::Write(WriteBatch& batch, Timestamp now) {
  using enum OutboxFile::Storing;
  return Transaction(batch.only_accepts() ? kLater : kNow, [&] { return WriteAll(batch, now); });
}

Result<void> Outbox::TryWriting() {
  return Transaction(OutboxFile::Storing::kNow, [&] { return sequences_.ReserveOne(); });
}

Result<void> Outbox::WriteAll(WriteBatch& batch, Timestamp now) {
  RETURN_IF_ERROR(sequences_.Reserve(batch.accepted.size()));
  for (QueuedJob* queued : batch.accepted) {
    RETURN_IF_ERROR(Append(*queued, now));
  }
  RETURN_IF_ERROR(outcomes_.WriteAll(batch.outcomes, now));
  for (const Park& park : batch.parks) {
    RETURN_IF_ERROR(WritePark(park));
  }
  for (const auto& [connection, gate] : batch.gates) {
    RETURN_IF_ERROR(WriteGate(connection, gate));
  }
  return {};
}

constexpr std::string_view kAppend =
    "INSERT INTO outbox (seq, job, connection, type, customer, accepted_ms, line, uid, boot, boot_ms, "
    "synchronised) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

Result<void> Outbox::Append(QueuedJob& queued, Timestamp now) {
  queued.sequence = sequences_.Take();
  queued.stamp = Stamp{Ulid::Make(now, queued.sequence, random_()), now};
  const Job& job = queued.job;
  const BootMoment& moment = file_->moment();
  queued.accepted_boot = moment.MovingSince();
  const auto id = queued.stamp.id.ToChars();
  file_->counters().AddAccepted(job.connection, queued.sequence, job.line.size());
  file_->users().AddJob(queued.uid, job.line.size());
  return append_.Run(ToSql(queued.sequence), std::string_view(id.data(), id.size()), job.connection,
                     JobTypeName(job.type), TextOrNull{job.customer}, ToSql(now), job.line, queued.uid,
                     moment.boot, moment.boot_ms, moment.synchronised);
}

constexpr std::string_view kPark = "UPDATE outbox SET parked = ?, stowed = ? WHERE seq = ?";

// It may have been parked before, and have kept the lane where it waits now.
Result<void> Outbox::WritePark(const Park& park) {
  const bool keeps_others = !park.others.empty();
  const std::optional<std::int64_t> stowed = keeps_others ? std::optional<std::int64_t>(0) : std::nullopt;
  RETURN_IF_ERROR(park_.Run(ToSql(park.lane), stowed, ToSql(park.sequence)));
  if (!keeps_others || file_->database().Changes() == 0) return {};
  return outcomes_.KeepLanes(park.sequence, park.others);
}

constexpr std::string_view kGate =
    "INSERT OR REPLACE INTO connections (name, state, pause, detail, since_ms, reopen_ms, failures) VALUES "
    "(?, ?, ?, ?, ?, ?, ?)";

Result<void> Outbox::WriteGate(const std::string& connection, const GateSnapshot& gate) {
  return gate_.Run(connection, GateStateName(gate.state), PauseReasonName(gate.pause), gate.detail,
                   ToSql(gate.since), ToSql(gate.reopen_at), gate.failures);
}

Result<void> Outbox::Prepare() {
  ASSIGN_OR_RETURN(append_, file_->database().Prepare(kAppend));
  ASSIGN_OR_RETURN(park_, file_->database().Prepare(kPark));
  ASSIGN_OR_RETURN(gate_, file_->database().Prepare(kGate));
  return {};
}

OutboxStart Outbox::AtStart() const {
  OutboxStart start;
  start.tail = LastSequence();
  for (const auto& [connection, counts] : CountsByConnection())
    start.delivered.emplace(connection, counts.delivered);
  return start;
}

void Outbox::CheckInvariants() const {
  sequences_.CheckInvariants();
  file_->counters().CheckInvariants();
}

}  // namespace outboxd
