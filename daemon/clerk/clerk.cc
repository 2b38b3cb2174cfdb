#include "daemon/clerk/clerk.h"

#include <pthread.h>

#include <algorithm>

#include "daemon/base/log.h"
#include "daemon/base/wall_clock.h"

namespace outboxd {
namespace {

constexpr Milliseconds kRoomInterval{100};     // how often the disk is asked for its free space
constexpr std::uint64_t kRoomBytes = 2 << 20;  // and after how many bytes of lines at the latest
constexpr Milliseconds kHousekeepingInterval{1000};
constexpr Milliseconds kRetryInterval{200};  // of outcomes that could not be written
constexpr std::chrono::milliseconds kReportPatience{
    10};  // outcomes gather this long unless somebody waits for a commit
constexpr std::size_t kPruneRows = 500;
constexpr std::size_t kShrinkPages = 64;
constexpr std::size_t kFreePagesKept = 256;

}  // namespace

Clerk::Clerk(Outbox outbox, Limits limits, std::function<std::uint64_t()> disk_free)
    : outbox_(std::move(outbox)), limits_(std::move(limits)), disk_free_(std::move(disk_free)) {
  ReadRoom();
}

void Clerk::Add(std::unique_ptr<Submission> submission) {
  submissions_.push_back(std::move(submission));
}

void Clerk::Add(Report report) {
  if (pending_.empty()) {
    report.ticket = std::max(pending_.ticket, report.ticket);
    pending_ = std::move(report);
    return;
  }
  std::move(report.outcomes.begin(), report.outcomes.end(), std::back_inserter(pending_.outcomes));
  pending_.parks.insert(pending_.parks.end(), report.parks.begin(), report.parks.end());
  std::move(report.gates.begin(), report.gates.end(), std::back_inserter(pending_.gates));
  pending_.ticket = std::max(pending_.ticket, report.ticket);
}

void Clerk::CheckRoom(Timestamp now) {
  if (now >= room_checked_ && now < room_checked_ + kRoomInterval && stored_bytes_ < kRoomBytes) return;
  room_checked_ = now;
  stored_bytes_ = 0;
  ReadRoom();
}

void Clerk::ReadRoom() {
  disk_free_bytes_ = disk_free_();
  if (const Result<std::uint64_t> used = outbox_.UsedBytes()) used_bytes_ = *used;
}

std::optional<Error> Clerk::WhyFull(std::size_t jobs) const {
  const OutboxConfig& config = limits_.outbox;
  if (outbox_.Total().jobs + jobs >= config.max_jobs) {
    return Error{
        ErrorKind::kBusy,
        "the outbox holds its limit of " + std::to_string(config.max_jobs) + " jobs (outbox.max_jobs)",
        {}};
  }
  if (used_bytes_ >= config.max_bytes) {
    return Error{
        ErrorKind::kFull,
        "the outbox has its limit of " + std::to_string(config.max_bytes) + " bytes (outbox.max_bytes)",
        {}};
  }
  if (disk_free_bytes_ < config.min_free_bytes) {
    return Error{ErrorKind::kFull,
                 "only " + std::to_string(disk_free_bytes_) +
                     " bytes are free on the outbox's disk (outbox.min_free_bytes: " +
                     std::to_string(config.min_free_bytes) + ")",
                 {}};
  }
  return std::nullopt;
}

// In the order of submission, as long as there is room: once a job is refused, none behind it overtakes it.
void Clerk::Admit(Done& done) {
  accepting_.clear();
  done.submissions.swap(submissions_);
  const std::optional<Error> full_already = WhyFull(0);
  const std::uint64_t held = outbox_.Total().jobs;
  const std::uint64_t room = full_already ? 0 : limits_.outbox.max_jobs - held;
  for (const std::unique_ptr<Submission>& submission : done.submissions) {
    const std::size_t left = room - accepting_.size();
    const bool fits = submission->jobs.size() <= left;
    submission->admitted = fits ? submission->jobs.size() : submission->all_or_none ? 0 : left;
    for (std::size_t i = 0; i < submission->admitted; ++i) accepting_.push_back(submission->jobs[i].get());
    if (!fits) submission->refused = WhyFull(room);
  }
}

WriteBatch Clerk::Batch(bool accepted, bool reports) {
  WriteBatch batch;
  if (accepted) batch.accepted = accepting_;
  if (reports) {
    batch.outcomes.reserve(pending_.outcomes.size());
    for (const Outcome& outcome : pending_.outcomes) batch.outcomes.push_back(&outcome);
    batch.parks = pending_.parks;
    batch.gates = pending_.gates;
  }
  return batch;
}

Clerk::Done Clerk::Work(Timestamp now) {
  Done done;
  // The operator's step first: what it tells the dispatcher then comes in the order of the disk.
  if (!tasks_.empty() && !tasks_.front()(outbox_, now)) tasks_.pop_front();
  CheckRoom(now);
  Admit(done);
  WriteBatch batch = Batch(true, true);
  if (!batch.empty()) {
    const Result<void> written = outbox_.Write(batch, now);
    if (written) {
      not_healthy_.clear();
      Confirm(done, true, true);
    } else if (!batch.accepted.empty() && !pending_.empty()) {
      WriteApart(now, done);
    } else {
      Note(written, done);
      if (!batch.accepted.empty()) Refuse(done, written.error());
    }
  } else if (!not_healthy_.empty()) {
    Note(outbox_.TryWriting(), done);  // nobody offers work to a daemon that says it is not ready
  }
  Housekeep(now);
  done.committed.last = outbox_.LastSequence();
  return done;
}

// Outcomes first: they free room.
void Clerk::WriteApart(Timestamp now, Done& done) {
  WriteBatch reports = Batch(false, true);
  const Result<void> settled = outbox_.Write(reports, now);
  Note(settled, done);
  if (settled) Confirm(done, false, true);
  WriteBatch jobs = Batch(true, false);
  const Result<void> stored = outbox_.Write(jobs, now);
  if (settled || !stored) Note(stored, done);  // that jobs can be stored does not mend that outcomes cannot
  if (stored) {
    Confirm(done, true, false);
  } else {
    Refuse(done, stored.error());
  }
}

void Clerk::Note(const Result<void>& written, Done& done) {
  if (written) {
    not_healthy_.clear();
    return;
  }
  if (not_healthy_.empty())
    Log(LogLevel::kError, "outbox cannot be written", {{"reason", written.error().message}});
  not_healthy_ = written.error().message;
  if (written.error().kind == ErrorKind::kCorrupt) done.fatal = written.error();
}

void Clerk::Refuse(Done& done, const Error& error) {
  for (const std::unique_ptr<Submission>& submission : done.submissions) {
    if (submission->admitted > 0) submission->refused = error;
  }
}

void Clerk::Confirm(Done& done, bool accepted, bool reports) {
  if (accepted) {
    done.committed.accepted.reserve(accepting_.size());
    for (const std::unique_ptr<Submission>& submission : done.submissions) {
      submission->ids.reserve(submission->admitted);
      for (std::size_t i = 0; i < submission->admitted; ++i) {
        submission->ids.push_back(submission->jobs[i]->stamp.id);
        stored_bytes_ += submission->jobs[i]->job.line.size();
        done.committed.accepted.push_back(std::move(submission->jobs[i]));
      }
    }
  }
  if (reports) {
    done.committed.outcomes = std::move(pending_.outcomes);
    done.committed.ticket = pending_.ticket;
    pending_.outcomes.clear();
    pending_.parks.clear();
    pending_.gates.clear();
  }
}

void Clerk::Housekeep(Timestamp now) {
  if (!more_housekeeping_ && now >= housekept_ && now < housekept_ + kHousekeepingInterval) return;
  housekept_ = now;
  const Result<bool> pruned =
      outbox_.PruneHistory(now - limits_.history.keep, limits_.history.max_rows, kPruneRows);
  const Result<bool> shrunk = outbox_.Shrink(kShrinkPages, kFreePagesKept);
  more_housekeeping_ = (pruned && *pruned) || (shrunk && *shrunk);
  if (outbox_.MustEmptyLog()) static_cast<void>(outbox_.EmptyLog());
  // After the last job left nothing else is written that would fold the log, and the room it gave back would
  // never be seen.
  if (!more_housekeeping_ && WhyFull(0)) static_cast<void>(outbox_.Fold());
}

OutboxState Clerk::State() const {
  OutboxState state;
  state.counts = outbox_.CountsByConnection();
  state.used_bytes = used_bytes_;
  state.disk_free_bytes = disk_free_bytes_;
  state.not_healthy = not_healthy_;
  if (const std::optional<Error> full = WhyFull(0)) state.not_accepting = full->message;
  if (!not_healthy_.empty()) state.not_accepting = not_healthy_;
  return state;
}

// --- the thread
// ------------------------------------------------------------------------------------------------------------------------

ClerkThread::ClerkThread(Clerk clerk, std::size_t submissions_max, Ports ports)
    : clerk_(std::move(clerk)),
      ports_(std::move(ports)),
      mailbox_(submissions_max),
      state_(clerk_.State()),
      thread_([this] { Run(); }) {}

ClerkThread::~ClerkThread() {
  Stop();
}

void ClerkThread::Stop() {
  mailbox_.Close();
  if (thread_.joinable()) thread_.join();
}

void ClerkThread::Submit(std::unique_ptr<Submission> submission) {
  mailbox_.Put(std::move(submission));
}
void ClerkThread::OnReport(Report report) {
  if (report.urgent) {
    mailbox_.Post(std::move(report));
  } else {
    mailbox_.PostPatiently(std::move(report), kReportPatience);
  }
}
bool ClerkThread::Post(ClerkTask task) {
  return mailbox_.Post(std::move(task));
}
void ClerkThread::Configure(Clerk::Limits limits) {
  mailbox_.Post(std::move(limits));
}

OutboxState ClerkThread::State() const {
  MutexLock lock(mutex_);
  return state_;
}

void ClerkThread::Run() {
  pthread_setname_np(pthread_self(), "outboxd-clerk");
  std::vector<Message> messages;
  Milliseconds sleep = kHousekeepingInterval;
  while (mailbox_.TakeAll(messages, sleep)) {
    const auto started = std::chrono::steady_clock::now();
    for (Message& message : messages) Handle(message);
    const Timestamp now = WallClockNow();
    Clerk::Done done = clerk_.Work(now);
    {
      OutboxState state = clerk_.State();
      MutexLock lock(mutex_);
      state_ = std::move(state);
    }
    if (!done.committed.accepted.empty()) {
      ports_.stored(std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count(),
                    done.committed.accepted);
    }
    Answer(std::move(done));
    sleep = clerk_.HasTasks() ? Milliseconds(0) : clerk_.MustRetry() ? kRetryInterval : kHousekeepingInterval;
  }
  Finish();
}

void ClerkThread::Handle(Message& message) {
  if (auto* submission = std::get_if<std::unique_ptr<Submission>>(&message)) {
    clerk_.Add(std::move(*submission));
  } else if (auto* report = std::get_if<Report>(&message)) {
    clerk_.Add(std::move(*report));
  } else if (auto* task = std::get_if<ClerkTask>(&message)) {
    clerk_.Add(std::move(*task));
  } else {
    clerk_.Configure(std::get<Clerk::Limits>(std::move(message)));
  }
}

// First the producers, who wait; each origin gets its own in one call.
void ClerkThread::Answer(Clerk::Done done) {
  std::map<SubmissionOrigin*, std::vector<std::unique_ptr<Submission>>> by_origin;
  for (std::unique_ptr<Submission>& submission : done.submissions) {
    SubmissionOrigin* origin = &submission->origin;
    by_origin[origin].push_back(std::move(submission));
  }
  for (auto& [origin, submissions] : by_origin) origin->OnAnswered(std::move(submissions));
  const bool news =
      !done.committed.accepted.empty() || !done.committed.outcomes.empty() || done.committed.ticket > 0;
  done.committed.left_out = !done.committed.accepted.empty() && ports_.dispatcher_is_behind();
  if (done.committed.left_out) done.committed.accepted.clear();
  if (news) ports_.committed(std::move(done.committed));
  if (done.fatal) ports_.fatal(*done.fatal);
}

void ClerkThread::Finish() {
  const Result<bool> emptied = clerk_.outbox().EmptyLog();
  if (emptied && *emptied) return;
  Log(LogLevel::kWarn, "outbox log not folded back",
      {{"reason", emptied ? "somebody reads it" : emptied.error().message}});
}

}  // namespace outboxd
