// Any bytes as a request to the Track-compatible endpoint: refused, or a job whose line reads back and whose body is the one that came.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/job_line.h"
#include "core/limits.h"
#include "core/track_call.h"
#include "core/track_route.h"
#include "tests/fuzz/demand.h"

namespace outboxd {
namespace {

std::string_view Cut(std::string_view& rest, char end) {
  const std::string_view part = rest.substr(0, rest.find(end));
  rest.remove_prefix(std::min(rest.size(), part.size() + 1));
  return part;
}

// "METHOD target", a newline, the body.
void Try(std::string_view input) {
  const std::string_view method = Cut(input, ' ');
  const std::string_view target = Cut(input, '\n');
  const std::string body(input);
  const Result<TrackRoute> route = FindTrackRoute(method, target.substr(0, target.find('?')));
  if (!route || !CheckTrackCallBody(body)) return;
  const bool is_blank = body.find_first_not_of(" \t\r\n") == std::string::npos;
  const Result<JobType> type = TypeOfTrackCall(*route, body);
  if (!type) return;
  const auto job = ParseJobLine(MakeTrackCallLine(*type, "default", method, target, body));
  if (!job) return;
  Demand(job->connection == "default" && !job->max_age && !job->has_ref, "a body adds no member to its line");
  Demand(job->call != nullptr && job->call->target == target && job->call->method == method, "the request is carried as it came");
  Demand(is_blank || job->Text(job->body) == body, "the body is carried as it came");
  Demand(job->customer.size() <= limits::kCustomerIdBytes, "a customer id keeps to its limit");
}

}  // namespace
}  // namespace outboxd

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  outboxd::Try({reinterpret_cast<const char*>(data), size});
  return 0;
}
