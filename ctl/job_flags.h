// ctl/job_flags.h — the flags by which `outboxctl send TYPE` takes the members of a job.
#pragma once

#include <string>
#include <vector>

#include "core/job_types.h"
#include "ctl/job_text.h"

namespace CLI {
class App;
}

namespace outboxd {

// The flags of each member that the type may have. What the command line gives lands in `flags` and, as
// NAME=PATH not yet read, in `file_paths`; both outlive `verb`.
void AddJobFlags(CLI::App& verb, const JobTypeRow& row, JobFlags& flags,
                 std::vector<std::string>& file_paths);

}  // namespace outboxd
