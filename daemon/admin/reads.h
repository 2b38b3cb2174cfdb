// daemon/admin/reads.h — the questions of the admin API about jobs, attempts and dead letters: rows of the
// outbox, with what the dispatcher knows of them. Any thread; each call with an Inspection of its own.
#pragma once

#include "core/result.h"
#include "core/ulid.h"
#include "daemon/admin/control.h"
#include "daemon/admin/filter.h"
#include "daemon/base/http_message.h"
#include "storage/inspection.h"

namespace outboxd {

HttpResponse ListJobs(Control& control, Inspection& inspection, const JobsQuery& query);
HttpResponse ShowJob(Control& control, Inspection& inspection, const Ulid& job);
HttpResponse ExplainJob(Control& control, Inspection& inspection, const Ulid& job);
HttpResponse ListHistory(Inspection& inspection, const HistoryQuery& query);
HttpResponse ListDead(Inspection& inspection, const DeadQuery& query);
HttpResponse ShowDead(Inspection& inspection, const Ulid& job);
HttpResponse ListDeadGroups(Inspection& inspection);

// The waiting job of exactly this id: the sequence inside an id finds the row, the rest of the id must be
// right too.
Result<JobRow> FindWaiting(Inspection& inspection, const Ulid& job);

}  // namespace outboxd
