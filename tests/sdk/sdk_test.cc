// Customer.io's libraries with their base URL pointed at outboxd. What arrives at the API is held against
// what the same calls bring to it directly.
#include <doctest/doctest.h>

#include <csignal>
#include <set>

#include "tests/sdk/comparison.h"
#include "tests/sdk/library.h"
#include "tests/support/give_up.h"
#include "tests/support/service_rig.h"
#include "tests/system/scene.h"

namespace outboxd {
namespace {

const std::string kCustomers = "2";  // one of them in need of escaping

// What happened to one customer, in order, apart from payloads.
std::string HistoryOf(SimUnderTest& api, const std::string& customer) {
  std::string history;
  for (const SimEffect& effect : api.Effects(customer))
    history.append(effect.type + " " + effect.name + " " + std::to_string(effect.n.value_or(0)) + ", ");
  return history;
}

void CheckSameEffects(SimUnderTest& direct, SimUnderTest& through) {
  CHECK(direct.Report().effects == through.Report().effects);
  std::set<std::string> customers;
  for (const SimEffect& effect : direct.AllEffects()) customers.insert(effect.customer);
  REQUIRE(customers.size() > 1);
  for (const std::string& customer : customers) {
    INFO("customer ", customer);
    if (!customer.empty()) CHECK(HistoryOf(direct, customer) == HistoryOf(through, customer));
  }
  for (const std::string& difference : Differences(direct.Requests(), through.Requests()))
    FAIL_CHECK(difference);
  for (const std::string& request : WithoutTime(through.Requests())) FAIL_CHECK(request);
  CheckFlawless(through.Report());
  CHECK(through.Report().events_without_id == 0);
}

// Each call succeeded with the answer that the API itself gives to it.
void CheckSameAnswers(const std::vector<CallMade>& direct, const std::vector<CallMade>& through) {
  REQUIRE(direct.size() == through.size());
  REQUIRE_FALSE(direct.empty());
  for (std::size_t i = 0; i < direct.size(); ++i) {
    INFO("call ", direct[i].call, ", directly: ", direct[i].error, ", through outboxd: ", through[i].error);
    CHECK(direct[i].ok);
    CHECK(through[i].ok);
    CHECK(direct[i].call == through[i].call);
    if (direct[i].call == "getAccountRegion") {
      CHECK(through[i].answer["region"].String() == direct[i].answer["region"].String());
    } else {
      CHECK(through[i].answer.ToText() == direct[i].answer.ToText());
    }
  }
}

// The API is away while the calls are made; when it is back, it fails for a while.
void CheckLibrary(const Library& library, Wire wire = Wire::kPlain) {
  INFO("library ", std::string(library.name));
  SimUnderTest direct(SdkAccount());
  const std::vector<CallMade> direct_calls = MakeCalls(library, direct.BaseUrl(), {kCustomers});

  SimUnderTest api(SdkAccount());
  api.Stop();
  const std::uint16_t port = FreePort();
  DaemonUnderTest daemon(api, Endpoint(port, wire), Launch::kLater);
  std::vector<std::string> arguments{kCustomers};
  if (wire == Wire::kTls) arguments.push_back(MakeCertificates(daemon));
  daemon.Start();
  CheckSameAnswers(direct_calls, MakeCalls(library, LocalUrl(port, wire), arguments));
  CHECK(daemon.Status()["totals"]["delivered"].Int() == 0);
  api.Start();
  api.Script(
      R"([{"match":{"count":6},"action":{"status":503}},{"match":{"count":2},"action":{"reset":true}}])");
  const JsonValue status = daemon.AwaitDrained();
  CHECK(status["states"]["dead"].Int() == 0);
  CheckSameEffects(direct, api);
}

TEST_CASE(
    "sdk: calls of customerio-node 5 succeed while the API is away and arrive once, in order, as it sends "
    "them") {
  CheckLibrary(kNode5);
}

TEST_CASE(
    "sdk: calls of customerio-node 4.4 succeed while the API is away and arrive once, in order, as it sends "
    "them") {
  CheckLibrary(kNode4);
}

TEST_CASE(
    "sdk: requests as of customerio-python succeed while the API is away and arrive once, in order, as it "
    "sends them") {
  CheckLibrary(kPython);
}

TEST_CASE(
    "sdk: requests as of customerio-ruby succeed while the API is away and arrive once, in order, as it "
    "sends them") {
  CheckLibrary(kRuby);
}

TEST_CASE(
    "sdk: requests as of go-customerio succeed while the API is away and arrive once, in order, as it sends "
    "them") {
  CheckLibrary(kGo);
}

TEST_CASE(
    "sdk: requests as of PHP's printu/customerio succeed while the API is away and arrive once, in order, as "
    "it sends them") {
  CheckLibrary(kPhp);
}

TEST_CASE("sdk: customerio-node 4.4 speaks TLS to a certificate of outboxctl tls-init") {
  CheckLibrary(kNode4, Wire::kTls);
}

TEST_CASE("sdk: requests as of customerio-python go over TLS with a certificate of outboxctl tls-init") {
  CheckLibrary(kPython, Wire::kTls);
}

bool IsStopped(const Process& process) {
  return ReadFile("/proc/" + std::to_string(process.Pid()) + "/stat").find(") T ") != std::string::npos;
}

void AwaitEnd(Process& program) {
  const std::optional<ExitStatus> status = program.Wait(kLongPatience);
  if (!status || status->code != 0) GiveUp("the program did not end well: " + program.Err());
}

TEST_CASE(
    "sdk: outboxd killed between the calls of a customerio-node program loses none of them, with the API "
    "away") {
  constexpr std::size_t kKills = 3;
  constexpr std::int64_t kStepsPerCustomer = 8;
  SimUnderTest api(SdkAccount());
  api.Stop();
  const std::uint16_t port = FreePort();
  DaemonUnderTest daemon(api, Endpoint(port));
  const Workbench workbench(kStepProgram);
  const std::string steps = std::to_string(3 * kStepsPerCustomer);
  Process program(workbench.Driver(LocalUrl(port), {steps, "stop-every", "6"}));
  for (std::size_t kill = 0; kill < kKills; ++kill) {
    const std::size_t made = 6 * (kill + 1);
    REQUIRE(Await([&] { return IsStopped(program) && ReadCalls(program.Out()).size() == made; }));
    daemon.Kill9();
    daemon.Start();
    program.Signal(SIGCONT);
  }
  REQUIRE(
      Await([&] { return IsStopped(program) && ReadCalls(program.Out()).size() == 3 * kStepsPerCustomer; }));
  program.Signal(SIGCONT);
  AwaitEnd(program);
  for (const CallMade& call : ReadCalls(program.Out()))
    CHECK_MESSAGE(call.ok, call.call << ": " << call.error);
  api.Start();
  daemon.AwaitDrained();
  for (const char* customer : {"c0", "c1", "c2"}) CheckNumbered(api, customer, kStepsPerCustomer);
  CheckFlawless(api.Report());
}

TEST_CASE(
    "sdk: restarts fail no call of a customerio-node program where the service manager holds the port") {
  constexpr std::size_t kRestarts = kSanitized ? 3 : 10;
  constexpr std::size_t kSteps = 100'000;
  SimUnderTest api(SdkAccount());
  const std::uint16_t port = FreePort();
  DaemonUnderTest daemon(api, Endpoint(port), Launch::kLater);
  ServiceRig rig(daemon);
  rig.ListenForTrack(port);
  rig.Start();
  const Workbench workbench(kStepProgram);
  Process program(workbench.Driver(LocalUrl(port), {std::to_string(kSteps), "own-ids"}));
  for (std::size_t restart = 0; restart < kRestarts; ++restart) {
    const std::size_t made = ReadCalls(program.Out()).size() + 15;
    REQUIRE(Await([&] { return ReadCalls(program.Out()).size() >= made; }));
    rig.Restart();
  }
  const std::size_t made = ReadCalls(program.Out()).size() + 15;
  REQUIRE(Await([&] { return ReadCalls(program.Out()).size() >= made; }));
  program.Signal(SIGTERM);
  REQUIRE(program.Wait(std::chrono::seconds(20)));
  const std::vector<CallMade> calls = ReadCalls(program.Out());
  MESSAGE(std::to_string(calls.size()) << " calls over " << kRestarts << " restarts");
  for (const CallMade& call : calls) CHECK_MESSAGE(call.ok, call.call << ": " << call.error);
  daemon.AwaitDrained();
  CheckFlawless(api.Report());
}

// A call that was under way is repeated by the library; the event's own id makes that harmless. What failed
// for good may have arrived or not.
TEST_CASE("sdk: outboxd killed at any moment loses no acknowledged call of a customerio-node program") {
  constexpr std::size_t kKills = kSanitized ? 2 : 3;
  constexpr std::size_t kSteps = 200;
  SimUnderTest api(SdkAccount());
  api.Stop();
  const std::uint16_t port = FreePort();
  DaemonUnderTest daemon(api, Endpoint(port));
  const Workbench workbench(kStepProgram);
  Process program(workbench.Driver(LocalUrl(port), {std::to_string(kSteps), "own-ids"}));
  for (std::size_t kill = 0; kill < kKills; ++kill) {
    const std::size_t made = ReadCalls(program.Out()).size() + 15;
    REQUIRE(Await([&] { return ReadCalls(program.Out()).size() >= made; }));
    daemon.Kill9();
    daemon.Start();
  }
  AwaitEnd(program);
  api.Start();
  daemon.AwaitDrained();
  std::map<std::string, std::size_t> arrived;
  for (const SimEffect& effect : api.AllEffects())
    ++arrived[effect.customer + " " + std::to_string(effect.n.value_or(0))];
  std::size_t acknowledged = 0;
  for (const CallMade& call : ReadCalls(program.Out())) {
    if (!call.ok) continue;
    ++acknowledged;
    CHECK_MESSAGE(arrived[call.call] == 1, call.call);
  }
  CHECK(acknowledged > kKills * 15);
  CheckFlawless(api.Report());
}

}  // namespace
}  // namespace outboxd
