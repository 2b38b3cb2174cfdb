// Any request to the admin API over an outbox with a job, a dead letter and attempts: an answer in its
// format. First line: method, a space, path and query; second: nothing; rest: body.
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>

#include "core/job_line.h"
#include "core/json.h"
#include "daemon/admin/api.h"
#include "storage/outbox.h"
#include "tests/fuzz/demand.h"
#include "tests/support/fake_control.h"

namespace outboxd {
namespace {

constexpr Timestamp kNow = FromUnixMs(1'790'000'000'000);

std::unique_ptr<QueuedJob> JobOf(const char* line) {
  auto queued = std::make_unique<QueuedJob>();
  queued->job = std::move(*ParseJobLine(line));
  return queued;
}

std::filesystem::path MakeOutbox() {
  const std::filesystem::path file =
      std::filesystem::temp_directory_path() / ("admin_fuzz." + std::to_string(getpid()) + ".db");
  std::filesystem::remove(file);
  Result<Outbox> outbox = Outbox::Open(file, 1);
  Demand(outbox.has_value(), "the outbox opens");
  const auto waiting = JobOf(R"({"type":"track","id":"42","name":"n","ref":"r"})");
  Outcome outcome;
  outcome.job = JobOf(R"({"type":"identify","id":"43","attributes":{"a":1}})");
  WriteBatch accepted;
  accepted.accepted = {waiting.get(), outcome.job.get()};
  Demand(outbox->Write(accepted, kNow).has_value(), "jobs are stored");
  ++outcome.job->attempts;
  outcome.kind = OutcomeKind::kDead;
  outcome.attempt.emplace().status = 400;
  outcome.reason = outcome.cause = "400 Bad Request";
  WriteBatch settled;
  settled.outcomes = {&outcome};
  Demand(outbox->Write(settled, kNow).has_value(), "an outcome is stored");
  return file;
}

struct Surroundings {
  test::FakeControl control;
  Metrics metrics;
  std::filesystem::path file = MakeOutbox();
  AdminApi api{file, control, metrics, [] { return kNow; }};
  ~Surroundings() {
    for (const char* suffix : {"", "-wal", "-shm", ".lock"}) std::filesystem::remove(file.string() + suffix);
  }
};

}  // namespace
}  // namespace outboxd

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace outboxd;
  static Surroundings surroundings;
  std::string_view text = AsText(data, size);
  const std::string_view line = text.substr(0, text.find('\n'));
  text.remove_prefix(std::min(line.size() + 1, text.size()));
  const std::string_view target = line.substr(std::min(line.find(' ') + 1, line.size()));
  HttpRequestView request;
  request.method = line.substr(0, line.find(' '));
  request.path = target.substr(0, target.find('?'));
  request.query = target.substr(std::min(request.path.size() + 1, target.size()));
  request.body = text;
  const HttpResponse answer = surroundings.api.Handle(request);
  surroundings.control.calls.clear();
  Demand(answer.status >= 200 && answer.status < 600, "an answer has a status");
  if (std::string_view(answer.content_type) == "application/json")
    Demand(JsonValue::Parse(answer.body).has_value(), "an answer is JSON");
  if (answer.status >= 400) Demand(!answer.body.empty(), "an error says what is wrong");
  for (const auto& [name, value] : answer.headers)
    Demand(value.find_first_of("\r\n") == std::string::npos, "a header is one line");
  return 0;
}
