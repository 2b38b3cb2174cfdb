#include "tests/support/daemon_under_test.h"

#include <csignal>

#include "tests/support/give_up.h"

namespace outboxd {
namespace {

constexpr std::size_t kLogShown = 4000;

struct YamlNode {
  std::string value;
  std::map<std::string, YamlNode> children;
};

void Render(const YamlNode& node, std::size_t depth, std::string& yaml) {
  for (const auto& [name, child] : node.children) {
    yaml.append(2 * depth, ' ').append(name).append(":");
    if (!child.value.empty()) yaml.append(" ").append(child.value);
    yaml.append("\n");
    Render(child, depth + 1, yaml);
  }
}

std::string Quoted(const std::string& text) {
  return JsonWriter().String(text).Take();
}

std::string Tail(const std::string& text) {
  return text.size() <= kLogShown ? text : "…" + text.substr(text.size() - kLogShown);
}

}  // namespace

std::string RenderYaml(const ConfigValues& values) {
  YamlNode root;
  for (const auto& [path, value] : values) {
    if (value.empty()) continue;
    YamlNode* node = &root;
    for (std::size_t start = 0; start <= path.size();) {
      const std::size_t end = std::min(path.find('.', start), path.size());
      node = &node->children[path.substr(start, end - start)];
      start = end + 1;
    }
    node->value = value;
  }
  std::string yaml;
  Render(root, 0, yaml);
  return yaml;
}

ConfigValues TestConfig(const std::filesystem::path& dir, const std::string& base_url,
                        const SimOptions& sim) {
  return {
      {"outbox.path", Quoted(dir / "outbox.db")},
      {"listen.producer.path", Quoted(dir / "p.sock")},
      {"listen.admin.path", Quoted(dir / "a.sock")},
      {"connections.default.base_url", Quoted(base_url)},
      {"connections.default.site_id", Quoted(sim.site_id)},
      {"connections.default.api_key", Quoted(sim.api_key)},
      {"connections.default.rate_limit", "0"},
      {"connections.default.probe_interval", "50ms"},
      {"retry.base", "20ms"},
      {"retry.cap", "200ms"},
  };
}

DaemonUnderTest::DaemonUnderTest(const SimUnderTest& sim, const ConfigValues& overrides, Launch launch)
    : values_(TestConfig(dir_.Path(), sim.BaseUrl(), sim.Options())),
      admin_(std::make_unique<HttpClient>(AdminSocket())) {
  for (const auto& [key, value] : overrides) values_[key] = value;
  Save();
  if (launch == Launch::kNow) Start();
}

DaemonUnderTest::DaemonUnderTest(const std::string& base_url, const ConfigValues& overrides, Launch launch)
    : values_(TestConfig(dir_.Path(), base_url, SimOptions{})),
      admin_(std::make_unique<HttpClient>(AdminSocket())) {
  for (const auto& [key, value] : overrides) values_[key] = value;
  Save();
  if (launch == Launch::kNow) Start();
}

void DaemonUnderTest::SetConfig(const std::string& key, const std::string& value) {
  values_[key] = value;
  Save();
}

std::vector<std::string> DaemonUnderTest::Command() const {
  std::vector<std::string> command = wrapper_;
  command.insert(command.end(), {OUTBOXD_BINARY, "--config", ConfigFile()});
  return command;
}

bool DaemonUnderTest::IsUp() {
  return IsListening(ProducerSocket()) && admin_->Get("/readyz").status != 0;
}

void DaemonUnderTest::Start() {
  ProcessOptions run;
  run.command = Command();
  run.environment = environment_;
  run.err = dir_ / "log";
  process_.reset();  // the old one, if any, is gone before the new one starts
  process_ = std::make_unique<Process>(std::move(run));
  const bool is_settled = Await([this] { return !process_->Running() || IsUp(); });
  if (!is_settled || !process_->Running())
    GiveUp("outboxd does not start; its log ends with:\n" + Tail(Log()));
}

Finished DaemonUnderTest::RunToEnd(const std::vector<std::string>& arguments,
                                   std::chrono::milliseconds timeout) {
  ProcessOptions run;
  run.command = Command();
  run.command.insert(run.command.end(), arguments.begin(), arguments.end());
  run.environment = environment_;
  return Run(std::move(run), timeout);
}

ExitStatus DaemonUnderTest::Terminate(std::chrono::milliseconds timeout) {
  process_->Signal(SIGTERM);
  const std::optional<ExitStatus> status = process_->Wait(timeout);
  if (!status) GiveUp("outboxd does not end after SIGTERM; its log ends with:\n" + Tail(Log()));
  return *status;
}

ExitStatus DaemonUnderTest::Abort() {
  process_->Signal(SIGABRT);
  const std::optional<ExitStatus> status = process_->Wait(std::chrono::seconds(60));
  if (!status) GiveUp("outboxd survives SIGABRT");
  return *status;
}

void DaemonUnderTest::Kill9() {
  process_->Signal(SIGKILL);
  if (!process_->Wait(std::chrono::seconds(10))) GiveUp("outboxd survives SIGKILL");
}

JsonValue DaemonUnderTest::Submit(std::string_view line) const {
  const std::string reply = Producer().Ask(line);
  Result<JsonValue> json = JsonValue::Parse(reply);
  if (!json) GiveUp("a reply that is not JSON: " + reply);
  return *json;
}

std::string DaemonUnderTest::Accept(std::string_view line) const {
  const JsonValue reply = Submit(line);
  if (!reply["ok"].Bool()) GiveUp("not accepted: " + reply.ToText());
  return reply["job"].String();
}

JsonValue DaemonUnderTest::Status() {
  const HttpAnswer answer = admin_->Get("/v1/status");
  if (answer.status != 200)
    GiveUp("no status: " + std::to_string(answer.status) + " " + answer.body + answer.error + "\n" +
           Tail(Log()));
  return answer.Json();
}

JsonValue DaemonUnderTest::AwaitStatus(const std::function<bool(const JsonValue&)>& condition,
                                       std::chrono::milliseconds timeout) {
  JsonValue status;
  const bool holds = Await([&] { return condition(status = Status()); }, timeout);
  if (!holds)
    GiveUp("the expected status did not come; the last was " + status.ToText() + "\nthe log ends with:\n" +
           Tail(Log()));
  return status;
}

JsonValue DaemonUnderTest::AwaitDrained(std::chrono::milliseconds timeout) {
  return AwaitStatus([](const JsonValue& status) { return status["outbox"]["jobs"].Int(-1) == 0; }, timeout);
}

JsonValue DaemonUnderTest::AwaitConnection(std::string_view name, std::string_view state,
                                           std::chrono::milliseconds timeout) {
  const auto is_there = [name, state](const JsonValue& status) {
    return ConnectionOf(status, name)["state"].String() == state;
  };
  return ConnectionOf(AwaitStatus(is_there, timeout), name);
}

Finished DaemonUnderTest::Ctl(const std::vector<std::string>& arguments, const std::string& input,
                              std::chrono::milliseconds timeout) const {
  ProcessOptions run;
  run.command = {OUTBOXCTL_BINARY, "--socket", AdminSocket(), "--producer", ProducerSocket()};
  run.command.insert(run.command.end(), arguments.begin(), arguments.end());
  run.input = input;
  return Run(std::move(run), timeout);
}

JsonValue ConnectionOf(const JsonValue& status, std::string_view name) {
  for (const JsonValue& connection : status["connections"].Items()) {
    if (connection["name"].String() == name) return connection;
  }
  return {};
}

}  // namespace outboxd
