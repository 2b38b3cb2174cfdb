// daemon/clerk/submission.h — how producers hand jobs to the clerk, and hear what became of them.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "core/job.h"
#include "core/result.h"
#include "core/ulid.h"

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
  bool is_alone = false;         // nothing else is at hand where it comes from, which may wait for the commit
  bool all_or_none = false;      // refused as a whole when there is no room for all of them
  std::size_t admitted = 0;      // the clerk's: how many of them, from the front, there is room for
  std::vector<Ulid> ids;         // of the stored jobs, in order
  std::optional<Error> refused;  // why the jobs behind those were not stored: kBusy, kFull or kIo
};

// Where submissions come from (a listener). Called where the clerk works, in the order of submission; must
// not block.
class SubmissionOrigin {
 public:
  virtual ~SubmissionOrigin() = default;
  virtual void OnAnswered(std::vector<std::unique_ptr<Submission>> submissions) = 0;
};

// The way to the clerk. Called on a listener's threads; may wait.
using Submit = std::function<void(std::unique_ptr<Submission>)>;

}  // namespace outboxd
