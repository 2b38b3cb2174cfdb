// Any bytes as a request to the Track-compatible endpoint: refused, or a job whose line reads back and whose
// body is the one that came.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/job_line.h"
#include "core/limits.h"
#include "core/request.h"
#include "core/track_body.h"
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

void CheckSame(const Job& made, const Job& read) {
  const Stamp stamp{.id = Ulid::Make(FromUnixMs(1'790'000'000'123), Sequence{7}, 42),
                    .accepted = FromUnixMs(1'790'000'000'123)};
  Demand(made.type == read.type && made.name == read.name && made.anonymous == read.anonymous,
         "made and read back are one job");
  Demand(made.customer == read.customer && made.more_customers == read.more_customers,
         "made and read back share their lanes");
  Demand(made.call->is_entity == read.call->is_entity, "made and read back are of one version");
  Demand(BuildRequest(made, stamp).body == BuildRequest(read, stamp).body,
         "made and read back send the same");
}

// "METHOD target", a newline, the body.
void Try(std::string_view input) {
  const std::string_view method = Cut(input, ' ');
  const std::string_view target = Cut(input, '\n');
  const Result<TrackRoute> route = FindTrackRoute(method, target.substr(0, target.find('?')));
  if (!route) return;
  const Result<TrackBody> body = TrackBody::Read(input);
  if (!body) return;
  const Result<Job> made = MakeTrackCallJob(*route, "default", method, target, *body);
  if (!made) return Demand(!made.error().message.empty(), "a refusal says why");
  const auto job = ParseJobLine(made->line);
  Demand(job.has_value(), "the line of a request reads back");
  Demand(job->connection == "default" && !job->max_age && !job->has_ref, "a body adds no member to its line");
  Demand(job->call != nullptr && job->call->target == target && job->call->method == method,
         "the request is carried as it came");
  Demand(TrackBody::IsBlank(input) || job->Text(job->body) == input, "the body is carried as it came");
  Demand(job->customer.size() <= limits::kCustomerIdBytes, "a customer id keeps to its limit");
  CheckSame(*made, *job);
}

}  // namespace
}  // namespace outboxd

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  outboxd::Try({reinterpret_cast<const char*>(data), size});
  return 0;
}
