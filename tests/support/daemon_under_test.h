// tests/support/daemon_under_test.h — the real outboxd with a config, an outbox and sockets of its own, and
// outboxctl to talk to it.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"
#include "tests/support/await.h"
#include "tests/support/http_client.h"
#include "tests/support/line_client.h"
#include "tests/support/process.h"
#include "tests/support/sim_under_test.h"

namespace outboxd {

// Config keys as dotted paths, values as YAML: {"retry.max_attempts", "3"}, {"connections.default.batch",
// "{mode: on}"}. An empty value takes a key out.
using ConfigValues = std::map<std::string, std::string>;

// Test connections to the simulated API, short waits, paths inside `dir`.
ConfigValues TestConfig(const std::filesystem::path& dir, const std::string& base_url, const SimOptions& sim);
std::string RenderYaml(const ConfigValues& values);

enum class Launch { kNow, kLater };

// Size: one call for each thing that a test does to a daemon or asks it, most of them one line.
class DaemonUnderTest {
 public:
  // Delivers to `sim`.
  explicit DaemonUnderTest(const SimUnderTest& sim, const ConfigValues& overrides = {},
                           Launch launch = Launch::kNow);
  // Delivers to another base URL; with the credentials of a SimOptions{}.
  explicit DaemonUnderTest(const std::string& base_url, const ConfigValues& overrides = {},
                           Launch launch = Launch::kNow);

  const std::filesystem::path& Dir() const { return dir_.Path(); }
  std::filesystem::path ConfigFile() const { return dir_ / "outboxd.yaml"; }
  std::filesystem::path OutboxFile() const { return dir_ / "outbox.db"; }
  std::filesystem::path ProducerSocket() const { return dir_ / "p.sock"; }
  std::filesystem::path AdminSocket() const { return dir_ / "a.sock"; }

  // Takes effect with the next Start, Restart or Reload.
  void SetConfig(const std::string& key, const std::string& value);
  // Writes any text in place of the config; SetConfig brings the real one back.
  void WriteConfigText(std::string_view yaml) { WriteFile(ConfigFile(), yaml); }

  // Before Start(): variables and wrappers ("strace", …) to run it with.
  void SetEnvironment(const std::string& name, const std::string& value) {
    environment_.emplace_back(name, value);
  }
  void SetWrapper(std::vector<std::string> command) { wrapper_ = std::move(command); }

  // Waits until both sockets answer; gives up, showing the log, when the daemon ends instead.
  void Start();
  // Runs it to its end, for starts that have to fail and for --check, --version: {"--check"}.
  Finished RunToEnd(const std::vector<std::string>& arguments = {},
                    std::chrono::milliseconds timeout = std::chrono::seconds(20));
  // SIGTERM and wait; gives up when it does not end.
  ExitStatus Terminate(std::chrono::milliseconds timeout = std::chrono::seconds(30));
  void Kill9();
  // SIGABRT, as a failed check or the service manager's watchdog sends it, and wait.
  ExitStatus Abort();
  void Restart() { Terminate(), Start(); }
  void Reload() { Signal(1); }  // SIGHUP; its effect is seen in the status
  void Signal(int number) { process_->Signal(number); }
  bool Running() { return process_ != nullptr && process_->Running(); }
  pid_t Pid() const { return process_->Pid(); }
  std::string Log() const { return ReadFile(dir_ / "log"); }  // of all runs

  LineClient Producer() const { return LineClient(ProducerSocket()); }
  // Sends one line on a connection of its own; the reply.
  JsonValue Submit(std::string_view line) const;
  // The same for a line that has to be accepted; its job id.
  std::string Accept(std::string_view line) const;

  HttpClient& Admin() { return *admin_; }
  JsonValue Status();
  // Gives up, showing the last status and the log's end, when it does not come to hold.
  JsonValue AwaitStatus(const std::function<bool(const JsonValue&)>& condition,
                        std::chrono::milliseconds timeout = kAwaitPatience);
  // No job is waiting or in flight any more.
  JsonValue AwaitDrained(std::chrono::milliseconds timeout = kAwaitPatience);
  // The connection's state ("open", "throttled", "probing", "paused").
  JsonValue AwaitConnection(std::string_view name, std::string_view state,
                            std::chrono::milliseconds timeout = kAwaitPatience);

  // outboxctl with this daemon's sockets.
  Finished Ctl(const std::vector<std::string>& arguments, const std::string& input = {},
               std::chrono::milliseconds timeout = std::chrono::seconds(60)) const;

 private:
  void Save() const { WriteFile(ConfigFile(), RenderYaml(values_)); }
  std::vector<std::string> Command() const;
  bool IsUp();

  TempDir dir_;
  ConfigValues values_;
  std::vector<std::pair<std::string, std::string>> environment_;
  std::vector<std::string> wrapper_;
  std::unique_ptr<HttpClient> admin_;
  std::unique_ptr<Process> process_;
};

// One of the status' connections; null when there is none of that name.
JsonValue ConnectionOf(const JsonValue& status, std::string_view name);

}  // namespace outboxd
