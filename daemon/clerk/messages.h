// daemon/clerk/messages.h — what travels between listener, clerk and dispatcher (docs/design.md section
// "Threads").
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/gate.h"
#include "core/job.h"
#include "core/result.h"
#include "storage/outbox.h"

namespace outboxd {

class SubmissionOrigin;

// Jobs that one producer handed over in one go: stored in their order as far as there is room, the rest
// refused. The origin derives from it to remember whom to answer.
struct Submission {
  explicit Submission(SubmissionOrigin& from) : origin(from) {}
  virtual ~Submission() = default;
  Submission(const Submission&) = delete;
  Submission& operator=(const Submission&) = delete;

  SubmissionOrigin& origin;
  std::vector<std::unique_ptr<QueuedJob>> jobs;  // taken by the clerk
  bool all_or_none = false;                      // refused as a whole when there is no room for all of them
  std::size_t admitted = 0;      // the clerk's: how many of them, from the front, there is room for
  std::vector<Ulid> ids;         // of the stored jobs, in order
  std::optional<Error> refused;  // why the jobs behind those were not stored: kBusy, kFull or kIo
};

// Where submissions come from (a listener). Called on the clerk's thread, in the order of submission; must
// not block.
class SubmissionOrigin {
 public:
  virtual ~SubmissionOrigin() = default;
  virtual void OnAnswered(std::vector<std::unique_ptr<Submission>> submissions) = 0;
};

// dispatcher → clerk: what is to be written.
struct Report {
  std::vector<Outcome> outcomes;
  std::vector<Park> parks;
  std::uint64_t ticket = 0;  // comes back in Committed; rising
  std::vector<std::pair<std::string, GateSnapshot>> gates;
  bool urgent = false;  // nothing else can be sent before it is written
  bool empty() const { return outcomes.empty() && parks.empty() && gates.empty(); }
};

// clerk → dispatcher: what is on stable storage now.
struct Committed {
  std::vector<std::unique_ptr<QueuedJob>> accepted;  // in order
  bool left_out = false;  // `accepted` is, because the dispatcher has enough to do: they are on disk
  Sequence last{};        // the highest sequence written so far
  std::vector<Outcome> outcomes;
  std::uint64_t ticket = 0;  // of the newest Report written; reports are written in order
};

}  // namespace outboxd
