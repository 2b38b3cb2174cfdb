// tests/support/sim_under_test.h — the simulated Track API, run by a test. track_sim.h describes scripts and
// effects.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/await.h"
#include "tests/support/http_client.h"
#include "tests/support/process.h"

namespace outboxd {

struct SimOptions {
  std::string site_id = "site";
  std::string api_key = "key";
  std::string region = "us";
  std::uint64_t seed = 1;
  bool forget_effects = false;
};

struct SimReport {
  std::uint64_t requests = 0, effects = 0, customers = 0;
  std::map<std::string, std::uint64_t> by_status;  // "200", "503", …; "none": never answered
  std::uint64_t repeated_ulids = 0, doubled = 0, events_without_id = 0, overlaps = 0, order_violations = 0;
  std::uint64_t connections = 0, concurrent = 0, max_concurrent = 0;
  std::vector<std::string> invalid;  // the first requests that broke a rule, other than by their credentials
  std::string text;                  // all of it, for a failed check's message

  std::uint64_t Status(const std::string& status) const {
    return by_status.contains(status) ? by_status.at(status) : 0;
  }
};

struct SimEffect {
  std::string customer, type, name, id, hash;
  std::optional<std::int64_t> n;
  std::int64_t at_ms = 0;
};

struct SimRequestSeen {
  std::string method, target, body;            // a body that is not UTF-8 is left empty
  std::map<std::string, std::string> headers;  // names as sent; without Authorization
  bool auth_ok = false;
  int status = 0;
  std::int64_t at_ms = 0;
};

class SimUnderTest {
 public:
  explicit SimUnderTest(SimOptions options = {});

  std::uint16_t Port() const { return port_; }
  std::string BaseUrl() const { return "http://127.0.0.1:" + std::to_string(port_); }
  const SimOptions& Options() const { return options_; }

  // The array of rules, as JSON. Replaces the rules there are; gives up when it is refused.
  void Script(std::string_view rules);
  // Every request meets `action`, as JSON: Always(R"({"status":503})").
  void Always(std::string_view action) { Script(R"([{"action":)" + std::string(action) + "}]"); }
  void ClearScript() { Script("[]"); }
  void SetCredentials(std::string_view site_id, std::string_view api_key);
  void Reset();

  SimReport Report();
  std::vector<SimEffect> Effects(std::string_view customer);
  std::vector<SimEffect> AllEffects();
  std::vector<SimRequestSeen> Requests(std::size_t last = 1000);
  // Gives up, showing the last report, when it does not come to hold.
  SimReport AwaitReport(const std::function<bool(const SimReport&)>& condition,
                        std::chrono::milliseconds timeout = kAwaitPatience);
  SimReport AwaitEffects(std::uint64_t count, std::chrono::milliseconds timeout = kAwaitPatience);

  // Nobody listens on the port, until Start() listens on it again with nothing remembered.
  void Stop();
  void Start();
  // Takes connections and bytes (the kernel does), but does nothing until Thaw().
  void Freeze();
  void Thaw();

 private:
  void Control(std::string_view target, std::string_view body);

  SimOptions options_;
  std::uint16_t port_ = 0;
  std::unique_ptr<Process> process_;
  std::unique_ptr<HttpClient> client_;
};

}  // namespace outboxd
