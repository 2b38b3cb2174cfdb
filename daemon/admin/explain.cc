#include "daemon/admin/explain.h"

#include <cmath>
#include <string>
#include <string_view>

#include "core/duration.h"
#include "core/gate.h"
#include "core/job.h"
#include "core/ruling.h"
#include "core/text.h"
#include "core/time.h"
#include "core/verdict.h"
#include "daemon/base/status.h"
#include "storage/history_pack.h"
#include "storage/inspection.h"

namespace outboxd {

namespace {

std::string InBrackets(std::string_view text) {
  return text.empty() ? std::string() : " (" + std::string(text) + ")";
}

std::string At(Timestamp at, Timestamp now) {
  const std::string text = FormatRfc3339(at);
  return at > now ? text + " (in " + ShowSpan(at - now) + ")" : text + " (" + ShowSpan(now - at) + " ago)";
}

std::string AttemptsSoFar(const JobRow& row) {
  if (row.attempts == 0) return "not tried yet";
  std::string text = Counted(row.attempts, "attempt") + " so far";
  if (!row.reason.empty()) text += ", the last one ended with: " + row.reason;
  return text;
}

// What looks like the connection's trouble, and is the job's.
std::string SuspectedBecause(Suspicion suspicion) {
  switch (suspicion) {
    case Suspicion::kNone:
      return {};
    case Suspicion::kAuth:
      return "it is answered 401 or 403 although the connection's credentials are right";
    case Suspicion::kRegion:
      return "it is redirected although the connection's region is right";
    case Suspicion::kTrouble:
      return "it gets no answer or 5xx while the connection is well";
    case Suspicion::kNotTrackApi:
      return "its answers are not the Track API's while the connection is well";
  }
  return {};
}

std::string WhatComesOfSuspect(Suspicion suspicion) {
  switch (suspicion) {
    case Suspicion::kNone:
      return {};
    case Suspicion::kAuth:
    case Suspicion::kRegion:
      return "Refused alike " + Counted(kRefusalsMax, "time") + " over at least " + ShowSpan(kRefusedFor) +
             ", with other jobs delivered in between, it becomes a dead letter (rejected)";
    case Suspicion::kTrouble:
      return "A failure is charged if another job was delivered since the one before; with "
             "retry.max_attempts used up it becomes a dead letter (exhausted)";
    case Suspicion::kNotTrackApi:
      return "If another job is delivered while it is out its answer is believed: 4xx makes it a dead letter "
             "(rejected), 2xx is charged";
  }
  return {};
}

// A sentence of its own; empty when it is none.
std::string SuspectSentence(const JobRow& row, Timestamp now) {
  if (row.suspicion == Suspicion::kNone) return {};
  std::string text = " It is a suspect: " + SuspectedBecause(row.suspicion);
  if (row.refusals > 0) text += ", counted " + Counted(row.refusals, "time");
  if (row.counted)
    text += (row.refusals > 0 ? ", the last at " : ", last charged at ") + At(*row.counted, now);
  return text + ". It goes alone, after others, and its failures do not close the connection. " +
         WhatComesOfSuspect(row.suspicion) + ".";
}

std::string PauseOf(const ConnectionStatus& connection) {
  const std::string detail = InBrackets(connection.gate.detail);
  const std::string resume = "`outboxctl resume " + connection.name + "`";
  switch (connection.gate.pause) {
    case PauseReason::kNone:
      return "paused" + detail + "; " + resume + " lets it go on";
    case PauseReason::kAuth:
      return "paused because its credentials were refused" + detail +
             ": correct its site id and API key; it resumes by itself once they are accepted, or after " +
             resume;
    case PauseReason::kRegion:
      return "paused because Customer.io redirects elsewhere, as for a wrong region" + detail +
             ": correct its region; it resumes by itself once that is right, or after " + resume;
    case PauseReason::kProxy:
      return "paused because the proxy does not let it through" + detail +
             ": correct the proxy or its credentials; it resumes by itself once the proxy opens, or after " +
             resume;
    case PauseReason::kNotTrackApi:
      return "paused because what answers is not the Track API" + detail +
             ": correct base_url or what stands in between; it resumes by itself once the Track API answers, "
             "or after " +
             resume;
    case PauseReason::kClock:
      return "paused because the clock of this host was never set" + detail +
             "; it resumes by itself once it is, and its jobs get their true times";
    case PauseReason::kUnconfigured:
      return "paused because it is no longer in the config: put it back and reload, and it goes on by itself";
    case PauseReason::kOperator:
      return "paused by an operator; " + resume + " lets it go on";
    case PauseReason::kCrashes:
      return "not sending because it may crash outboxd again" + detail + "; " + resume + " lets it go on";
  }
  return {};
}

// Why the connection does not send now; empty when it does.
std::string ClosedBecause(const ConnectionStatus& connection, Timestamp now) {
  const GateSnapshot& gate = connection.gate;
  const std::string name = "connection " + connection.name;
  const std::string detail = InBrackets(gate.detail);
  switch (gate.state) {
    case GateState::kOpen:
      return {};
    case GateState::kThrottled: {
      const std::string until = gate.reopen_at ? " until " + At(*gate.reopen_at, now) : std::string();
      return name + " is closed" + until + " after " + Counted(gate.failures, "failure") + " in a row" +
             detail + ", then one probe decides whether it opens";
    }
    case GateState::kProbing:
      return name + " is being probed with one request at a time after an outage" + detail +
             ", and opens when one succeeds";
    case GateState::kPaused:
      if (connection.awaits_credentials)
        return name + " sends nothing, since " + At(gate.since, now) + ": " + gate.detail;
      return name + " is, since " + At(gate.since, now) + ", " + PauseOf(connection);
  }
  return {};
}

std::string RateOf(const ConnectionStatus& connection) {
  if (!(connection.rate_limit > 0)) return "no rate limit";
  return "a rate limit of " + std::to_string(std::llround(connection.rate_limit)) + " requests per second";
}

std::string WaitsForTurn(const ConnectionStatus& connection) {
  return "connection " + connection.name + " is open with " + std::to_string(connection.in_flight) +
         " of at most " + Counted(connection.limit, "request") + " in flight, " + RateOf(connection) +
         " and " + Counted(connection.Ready(), "ready job");
}

std::string ConnectionClause(const WaitingJob& job, Timestamp now) {
  if (!job.connection)
    return "its connection " + job.row.connection +
           " is no longer in the config, and it waits until it is there again";
  return ClosedBecause(*job.connection, now);
}

std::string ReadyClause(const WaitingJob& job, Timestamp now) {
  std::string why = ConnectionClause(job, now);
  if (why.empty()) why = WaitsForTurn(*job.connection);
  if (job.is_on_disk || job.ahead) {
    const std::string ahead = job.ahead ? ", behind job " + *job.ahead + " of the same customer" : "";
    return "It waits on disk until there is room for it in memory (" + AttemptsSoFar(job.row) + ")" + ahead +
           ": " + why;
  }
  return "It is ready (" + AttemptsSoFar(job.row) + ") and waits for its turn: " + why;
}

std::string DeferredClause(const WaitingJob& job, Timestamp now) {
  std::string text = "It is deferred, " + AttemptsSoFar(job.row);
  if (job.row.due)
    text += std::string("; its next attempt ") + (*job.row.due > now ? "is due at " : "was due at ") +
            At(*job.row.due, now);
  const std::string why = ConnectionClause(job, now);
  return why.empty() ? text : text + "; besides, " + why;
}

std::string StateClause(const JobRow& row, JobState state, Timestamp now) {
  switch (state) {
    case JobState::kReady:
      return "is ready (" + AttemptsSoFar(row) + ")";
    case JobState::kInFlight:
      return "is being sent right now";
    case JobState::kDeferred:
      return "is deferred" + (row.due ? " until " + At(*row.due, now) : std::string()) + ", " +
             AttemptsSoFar(row);
    case JobState::kBlocked:
      return "is blocked itself";
  }
  return {};
}

std::string BlockerClause(const WaitingJob& job, Timestamp now) {
  if (!job.blocker) return "an earlier job of the same customer";
  // A later one had its turn before this one was put back.
  const bool is_later = job.blocker->sequence > job.row.sequence;
  std::string text = "job " + job.blocker->job + ", " +
                     (is_later ? "which has its lane's turn" : "an earlier job of the same customer");
  if (job.blocker->suspicion != Suspicion::kNone)
    text += " and a suspect (" + std::string(SuspicionName(job.blocker->suspicion)) + ")";
  if (!job.blocker_state) return text;
  return text + (is_later ? " and " : ", which ") + StateClause(*job.blocker, *job.blocker_state, now);
}

std::string BlockedClause(const WaitingJob& job, Timestamp now) {
  const std::string why = ConnectionClause(job, now);
  return "It is blocked by " + BlockerClause(job, now) + (why.empty() ? "" : "; besides, " + why);
}

std::string StateClause(const WaitingJob& job, Timestamp now) {
  switch (job.state) {
    case JobState::kReady:
      return ReadyClause(job, now);
    case JobState::kInFlight:
      return "It is being sent right now (attempt " + std::to_string(job.row.attempts + 1) + ")";
    case JobState::kDeferred:
      return DeferredClause(job, now);
    case JobState::kBlocked:
      return BlockedClause(job, now);
  }
  return {};
}

}  // namespace

std::string ExplainWaiting(const WaitingJob& job, Timestamp now) {
  return StateClause(job, now) + "." + SuspectSentence(job.row, now);
}

std::string ExplainDead(const DeadRow& row) {
  return "It became a dead letter (" + row.death + ") at " + FormatRfc3339(row.dead) + " after " +
         Counted(row.attempts, "attempt") + InBrackets(row.reason) +
         " and will not be tried again by itself; `outboxctl dead redrive` puts it back.";
}

std::string ExplainGone(const AttemptRow& last) {
  if (last.result == FateName(Fate::kDelivered)) {
    const std::string status = last.status ? " (answer " + std::to_string(*last.status) + ")" : std::string();
    return "It was delivered by attempt " + std::to_string(last.attempt) + ", sent at " +
           FormatRfc3339(last.sent) + status + ".";
  }
  return "It is neither in the outbox nor in the dead letters any more; its last recorded attempt, sent at " +
         FormatRfc3339(last.sent) + ", ended as " + last.result + ".";
}

}  // namespace outboxd
