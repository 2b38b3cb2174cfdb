// ctl/job_text.h — the flags of `outboxctl send` → one line of the producer socket. Pure: what it writes,
// byte for byte, is tested.
//
// JSON given by the user is checked and carried as written, without the white space between its tokens; the
// rest of the checking is the daemon's.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/job.h"
#include "core/result.h"

namespace outboxd {

struct FileFlag {
  std::string name, filename, content;
};

struct JobFlags {
  std::optional<JobType> type;
  std::optional<std::string> connection, id, anonymous_id, name, url, timestamp, event_id, max_age, region,
      ref;
  std::optional<std::string> object;  // --attributes or --data: a JSON object
  std::vector<std::string> fields;    // --attribute or --data-field: name=text or name:=json
  std::optional<std::string> device_id, platform, last_used, form_id, segment_id, id_type, primary, secondary;
  std::vector<std::string> ids;
  std::optional<std::string> delivery_id, metric, recipient, reason, href;
  std::optional<std::string> method, path, body, body_json, response_type, timeout, retry_delay;
  std::optional<std::int64_t> max_retries;
  bool exponential = false, all_errors = false, debug = false;
  std::vector<std::string> query, headers, form;  // name=text
  std::vector<FileFlag> files;
};

// The members that the type may have, of those given; `flags.type` is set. kInvalid with the flag as `field`.
Result<std::string> BuildJobLine(const JobFlags& flags);

}  // namespace outboxd
