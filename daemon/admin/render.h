// daemon/admin/render.h — the JSON objects of the admin API (docs/admin-api.md). Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"
#include "core/result.h"
#include "core/time.h"
#include "daemon/base/http_message.h"
#include "daemon/base/status.h"
#include "storage/history_pack.h"
#include "storage/inspection.h"

namespace outboxd {

HttpResponse JsonAnswer(JsonWriter& writer, unsigned status = 200);
// {"error":{…}} with the status that belongs to the kind.
HttpResponse ErrorAnswer(const Error& error);
HttpResponse MethodNotAllowed(std::string_view allowed);
HttpResponse ForbiddenAnswer();  // to a user whom listen.admin.users leaves out

// `place` is what the dispatcher knows of the job; without one the row's own columns tell.
JobState StateOf(const JobRow& row, const std::optional<JobPlace>& place);

// Each writes one complete JSON value.
void WriteStatus(JsonWriter& writer, const DaemonStatus& status);
void WriteConnection(JsonWriter& writer, const ConnectionStatus& connection);
void WriteJob(JsonWriter& writer, const JobRow& row, JobState state);  // with `line` where the row has it
void WriteAttempt(JsonWriter& writer, const AttemptRow& row);
void WriteDead(JsonWriter& writer, const DeadRow& row);  // with `line` and `answer` where the row has them
void WriteGroup(JsonWriter& writer, const DeadGroup& group);
void WriteProbe(JsonWriter& writer, std::string_view connection, const ProbeReport& report,
                const std::vector<std::string>& warnings);

// Members of an object. Optional ones: absent values write nothing.
void WriteSuspicion(JsonWriter& writer,
                    const JobRow& row);  // of a suspect: of what, and how often it counted
void WriteText(JsonWriter& writer, std::string_view key, std::string_view text);
void WriteTime(JsonWriter& writer, std::string_view key, const std::optional<Timestamp>& at);
void WriteCount(JsonWriter& writer, std::string_view key, std::uint64_t count);

}  // namespace outboxd
