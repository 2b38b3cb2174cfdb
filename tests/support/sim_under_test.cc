#include "tests/support/sim_under_test.h"

#include <csignal>

#include "tests/support/give_up.h"

namespace outboxd {
namespace {

SimReport ReadReport(const HttpAnswer& answer) {
  const JsonValue json = answer.Json();
  const auto count = [&json](std::string_view name) { return static_cast<std::uint64_t>(json[name].Int()); };
  SimReport report;
  report.requests = count("requests");
  report.effects = count("effects");
  report.customers = count("customers");
  report.repeated_ulids = count("repeated_ulids");
  report.doubled = count("doubled");
  report.events_without_id = count("events_without_id");
  report.overlaps = count("overlaps");
  report.order_violations = count("order_violations");
  report.connections = count("connections");
  report.concurrent = count("concurrent");
  report.max_concurrent = count("max_concurrent");
  for (const auto& [status, value] : json["by_status"].Members())
    report.by_status[status] = static_cast<std::uint64_t>(value.Int());
  for (const JsonValue& message : json["invalid"].Items()) report.invalid.push_back(message.String());
  report.text = answer.body;
  return report;
}

SimEffect ReadEffect(const JsonValue& json) {
  SimEffect effect;
  effect.customer = json["customer"].String();
  effect.type = json["type"].String();
  effect.name = json["name"].String();
  effect.id = json["id"].String();
  effect.hash = json["hash"].String();
  if (json.Has("n")) effect.n = json["n"].Int();
  effect.at_ms = json["at_ms"].Int();
  return effect;
}

SimRequestSeen ReadRequestSeen(const JsonValue& json) {
  SimRequestSeen seen;
  seen.method = json["method"].String();
  seen.target = json["target"].String();
  seen.body = json["body"].String();
  for (const auto& [name, value] : json["headers"].Members()) seen.headers[name] = value.String();
  seen.auth_ok = json["auth_ok"].Bool();
  seen.status = static_cast<int>(json["status"].Int());
  seen.at_ms = json["at_ms"].Int();
  return seen;
}

}  // namespace

SimUnderTest::SimUnderTest(SimOptions options) : options_(std::move(options)) {
  Start();
}

void SimUnderTest::Start() {
  ProcessOptions run;
  run.command = {TRACK_SIM_BINARY,
                 "--listen",
                 "127.0.0.1:" + std::to_string(port_),
                 "--site-id",
                 options_.site_id,
                 "--api-key",
                 options_.api_key,
                 "--region",
                 options_.region,
                 "--seed",
                 std::to_string(options_.seed)};
  if (options_.forget_effects) run.command.emplace_back("--forget-effects");
  process_ = std::make_unique<Process>(std::move(run));
  const bool is_up = Await([this] { return process_->Out().ends_with('\n') || !process_->Running(); });
  const std::string line = process_->Out();
  if (!is_up || !line.starts_with("listening on "))
    GiveUp("the simulated API does not start: " + process_->Err());
  port_ = static_cast<std::uint16_t>(std::stoul(line.substr(line.rfind(':') + 1)));
  client_ = std::make_unique<HttpClient>(port_);
}

void SimUnderTest::Stop() {
  process_->Signal(SIGTERM);
  if (!process_->Wait(std::chrono::seconds(10))) GiveUp("the simulated API does not stop");
}

void SimUnderTest::Freeze() {
  process_->Signal(SIGSTOP);
  const std::filesystem::path stat = "/proc/" + std::to_string(process_->Pid()) + "/stat";
  if (!Await([&stat] { return ReadFile(stat).find(") T ") != std::string::npos; }))
    GiveUp("the simulated API does not freeze");
}

void SimUnderTest::Thaw() {
  process_->Signal(SIGCONT);
}

void SimUnderTest::Control(std::string_view target, std::string_view body) {
  const HttpAnswer answer = client_->Post(target, body);
  if (answer.status != 200)
    GiveUp(std::string(target) + ": " + std::to_string(answer.status) + " " + answer.body + answer.error);
}

void SimUnderTest::Script(std::string_view rules) {
  Control("/_sim/script", R"({"rules":)" + std::string(rules) + "}");
}

void SimUnderTest::SetCredentials(std::string_view site_id, std::string_view api_key) {
  JsonWriter writer;
  writer.Object().Key("site_id").String(site_id).Key("api_key").String(api_key).EndObject();
  Control("/_sim/credentials", writer.Text());
}

void SimUnderTest::Reset() {
  Control("/_sim/reset", "{}");
}

SimReport SimUnderTest::Report() {
  return ReadReport(client_->Get("/_sim/report"));
}

std::vector<SimEffect> SimUnderTest::Effects(std::string_view customer) {
  const JsonValue json = client_->Get("/_sim/effects?customer=" + UrlEncode(customer)).Json();
  std::vector<SimEffect> effects;
  for (const JsonValue& item : json["effects"].Items()) effects.push_back(ReadEffect(item));
  return effects;
}

std::vector<SimEffect> SimUnderTest::AllEffects() {
  const std::string lines = client_->Get("/_sim/effects").body;
  std::vector<SimEffect> effects;
  for (std::size_t start = 0; start < lines.size();) {
    const std::size_t end = lines.find('\n', start);
    Result<JsonValue> json = JsonValue::Parse(std::string_view(lines).substr(start, end - start));
    if (!json) GiveUp("an effect that is not JSON");
    effects.push_back(ReadEffect(*json));
    start = end + 1;
  }
  return effects;
}

std::vector<SimRequestSeen> SimUnderTest::Requests(std::size_t last) {
  const JsonValue json = client_->Get("/_sim/requests?last=" + std::to_string(last)).Json();
  std::vector<SimRequestSeen> requests;
  for (const JsonValue& item : json["requests"].Items()) requests.push_back(ReadRequestSeen(item));
  return requests;
}

SimReport SimUnderTest::AwaitReport(const std::function<bool(const SimReport&)>& condition,
                                    std::chrono::milliseconds timeout) {
  SimReport report;
  const bool holds = Await([&] { return condition(report = Report()); }, timeout);
  if (!holds) GiveUp("the simulated API did not see what was expected; it saw " + report.text);
  return report;
}

SimReport SimUnderTest::AwaitEffects(std::uint64_t count, std::chrono::milliseconds timeout) {
  return AwaitReport([count](const SimReport& report) { return report.effects >= count; }, timeout);
}

}  // namespace outboxd
