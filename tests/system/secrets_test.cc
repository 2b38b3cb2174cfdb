// Credentials reach the Track API and nothing else.
#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <sstream>

#include "core/encoding.h"
#include "tests/daemon/delivery/stub_server.h"
#include "tests/system/scene.h"

namespace outboxd {
namespace {

using testing::Peer;
using testing::SeenRequest;
using testing::StubServer;
using testing::Then;

const SimOptions kAccount{.site_id = "s1te1d-c0ffee", .api_key = "k3y-unf0rgettable"};

bool Holds(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

// As it is, and inside a longer text in base64, where the neighbours share the first and the last characters.
std::vector<std::string> FormsOf(const std::string& secret) {
  std::vector<std::string> forms = {secret};
  for (std::size_t offset = 0; offset < 3; ++offset) {
    const std::string encoded = Base64Encode(std::string(offset, '-') + secret);
    forms.push_back(encoded.substr(4, encoded.size() - 8));
  }
  return forms;
}

void CheckHasNoKey(const std::string& where, const std::string& text) {
  INFO("in ", where);
  for (const std::string& form : FormsOf(kAccount.api_key)) CHECK_FALSE(Holds(text, form));
  CHECK_FALSE(Holds(text, kAccount.site_id + ":"));
}

void CheckTellsNothing(const std::string& where, const std::string& text) {
  CheckHasNoKey(where, text);
  CHECK_FALSE(Holds(text, "Authorization: Basic"));
}

void CheckFiles(const DaemonUnderTest& daemon,
                void (*check)(const std::string& where, const std::string& text)) {
  for (const auto& entry : std::filesystem::directory_iterator(daemon.Dir())) {
    if (entry.is_regular_file()) check(entry.path().string(), ReadFile(entry.path()));
  }
}

// A folder with the credentials' files.
struct KeptApart {
  KeptApart() {
    WriteFile(folder / "site_id", kAccount.site_id + "\n");
    WriteFile(folder / "api_key", kAccount.api_key + "\n");
  }
  ConfigValues With(ConfigValues values) const {
    values.merge(ConfigValues{{"log.level", "debug"},
                              {"connections.default.site_id", ""},
                              {"connections.default.api_key", ""},
                              {"connections.default.site_id_file", Quoted((folder / "site_id").string())},
                              {"connections.default.api_key_file", Quoted((folder / "api_key").string())}});
    return values;
  }
  TempDir folder;
};

std::string ProcFile(const DaemonUnderTest& daemon, std::string_view name) {
  return "/proc/" + std::to_string(daemon.Pid()) + "/" + std::string(name);
}

// One delivered with debug, one dead, one that the credentials stop: their ids.
std::vector<std::string> LiveThroughADay(SimUnderTest& sim, DaemonUnderTest& daemon) {
  std::vector<std::string> jobs;
  jobs.push_back(
      daemon.Accept(R"({"type":"raw","method":"PUT","path":"/v1/customers/9","body":{"a":1},"debug":true})"));
  daemon.AwaitDrained();
  sim.Script(R"([{"match":{"count":1},"action":{"status":400}}])");
  jobs.push_back(daemon.Accept(Event("1", 1)));
  AwaitDead(daemon, jobs.back());
  sim.SetCredentials(kAccount.site_id, "changed");
  jobs.push_back(daemon.Accept(Event("1", 2)));
  daemon.AwaitConnection("default", "paused");
  return jobs;
}

TEST_CASE("secrets: a day in the life of outboxd leaves no credentials in log, files, answers or /proc") {
  SimUnderTest sim(kAccount);
  const KeptApart credentials;
  DaemonUnderTest daemon(sim, credentials.With({}));
  const std::vector<std::string> jobs = LiveThroughADay(sim, daemon);
  CHECK(sim.Report().Status("200") > 0);  // the key was there to be told
  CHECK(sim.Report().Status("401") > 0);
  std::vector<std::vector<std::string>> questions = {{"status"},
                                                     {"list"},
                                                     {"dead", "list"},
                                                     {"dead", "groups"},
                                                     {"dead", "export"},
                                                     {"probe"},
                                                     {"metrics"},
                                                     {"reload"},
                                                     {"backup", daemon.Dir() / "copy.db"},
                                                     {"dead", "show", jobs[1]},
                                                     {"show", jobs[2]}};
  for (const std::string& job : jobs) {
    questions.push_back({"explain", job});
    questions.push_back({"history", job});
  }
  for (std::vector<std::string> question : questions) {
    const std::string name = question.front();
    for (int round = 0; round < 2; ++round) {
      const Finished answer = daemon.Ctl(question);
      CHECK_MESSAGE(!(answer.out + answer.err).empty(), name);
      CheckTellsNothing("outboxctl " + name, answer.out + answer.err);
      question.insert(question.begin(), "--json");
    }
  }
  for (const char* name : {"cmdline", "environ"}) CheckTellsNothing(name, ReadFile(ProcFile(daemon, name)));
  CHECK(std::filesystem::file_size(daemon.OutboxFile().string() + "-wal") > 0);
  CheckFiles(daemon, CheckTellsNothing);
  daemon.Terminate();
  CHECK(Holds(daemon.Log(), "raw debug"));
  CheckFiles(daemon, CheckTellsNothing);
}

TEST_CASE("secrets: a config that is wrong around the key is refused without showing it") {
  SimUnderTest sim(kAccount);
  DaemonUnderTest daemon(sim);
  const std::string& key = kAccount.api_key;
  for (const std::string& wrong :
       {"api_key: " + key + ", api_kee: x", "api_kee: " + key, "api_key: \"" + key,
        "api_key: {" + key + ": x}", "api_key: '" + key + "${'", "api_key: k, api_key: " + key,
        "api_key_file: " + key, "api_key: k, region: " + key, "api_key: k, ca_file: " + key,
        "api_key: k, timeout: " + key, "api_key: k, strict_answers: " + key}) {
    CAPTURE(wrong);
    daemon.WriteConfigText("connections: {default: {region: us, site_id: s, " + wrong + "}}\n");
    for (const Finished& refused :
         {daemon.RunToEnd({"--check"}), daemon.RunToEnd(), daemon.Ctl({"reload"})}) {
      CHECK(refused.status.code != 0);
      CHECK(Holds(refused.err, daemon.ConfigFile().string()));
      CheckTellsNothing("the complaint", refused.out + refused.err);
    }
    daemon.Reload();
  }
  daemon.Accept(Event("1", 1));
  daemon.AwaitDrained();
  daemon.Terminate();
  CHECK(Holds(daemon.Log(), "config not reloaded"));
  CheckTellsNothing("the log", daemon.Log());
}

// A gateway whose answers are the request that it got: status by the job's number.
StubServer::Handler Echo(const std::vector<int>& statuses) {
  return [statuses, next = std::make_shared<std::atomic<std::size_t>>(0)](const SeenRequest& request,
                                                                          const Peer& peer) {
    const bool is_probe = request.Line().find("/accounts/region") != std::string::npos;
    const int status = is_probe ? 302 : statuses.at((*next)++ % statuses.size());
    std::string words = request.head;
    std::replace_if(words.begin(), words.end(), [](char c) { return c == '\r' || c == '\n'; }, ' ');
    const std::string body =
        status == 400 ? R"({"meta":{"error":)" + Quoted(words) + "}}" : "<html><title>" + words + "</title>";
    peer.Answer(status, body, "Location: /?" + words + "\r\nX-Got: " + words + "\r\n");
    return Then::kKeep;
  };
}

TEST_CASE("secrets: a gateway that echoes the request puts no credentials into log, files or answers") {
  StubServer gateway(Echo({400, 404, 500, 302}));
  const KeptApart credentials;
  DaemonUnderTest daemon(gateway.Url(), credentials.With({{"connections.default.strict_answers", "false"}}));
  const std::string dead = daemon.Accept(Event("1", 1));
  AwaitDead(daemon, dead);
  CHECK(Holds(AwaitDead(daemon, dead)["answer"].String(), "[redacted]"));
  std::vector<std::string> jobs = {dead};
  // The last one pauses the connection: none may be tried again before it.
  for (std::int64_t customer = 2; customer < 5; ++customer) {
    jobs.push_back(daemon.Accept(R"({"type":"raw","method":"PUT","path":"/v1/customers/)" +
                                 std::to_string(customer) + R"(","retry":{"max_retries":0},"debug":true})"));
    AwaitAttempts(daemon, jobs.back(), 1);
  }
  for (std::vector<std::string> question : {std::vector<std::string>{"status"},
                                            {"list"},
                                            {"dead", "list"},
                                            {"dead", "groups"},
                                            {"dead", "export"},
                                            {"dead", "show", dead},
                                            {"probe"},
                                            {"explain", jobs.back()},
                                            {"show", jobs.back()},
                                            {"history", jobs[1]},
                                            {"history", "--customer", "1"}}) {
    const std::string name = question.front();
    for (int round = 0; round < 2; ++round) {
      const Finished answer = daemon.Ctl(question);
      CheckHasNoKey("outboxctl " + name, answer.out + answer.err);
      question.insert(question.begin(), "--json");
    }
  }
  CheckFiles(daemon, CheckHasNoKey);
  daemon.Terminate();
  CHECK(Holds(daemon.Log(), "[redacted]"));
  CheckFiles(daemon, CheckHasNoKey);
}

TEST_CASE("secrets: no core dump, and no other process of the same user looks into the memory") {
  // Without its capabilities root is a user like others.
  const std::vector<std::string> plain =
      geteuid() != 0 ? std::vector<std::string>{"env"}
                     : std::vector<std::string>{"setpriv", "--bounding-set=-all", "--inh-caps=-all"};
  const auto as_plain = [&plain](const std::vector<std::string>& command) {
    ProcessOptions options;
    options.command = plain;
    options.command.insert(options.command.end(), command.begin(), command.end());
    return options;
  };
  const auto run = [&as_plain](const std::vector<std::string>& command) {
    return Run(as_plain(command)).status.code;
  };
  if (run({"true"}) != 0) {
    MESSAGE("skipped: this system does not let root give up its capabilities");
    return;
  }
  const auto may_open = [&run](pid_t pid, const std::string& name) {
    return run({"sh", "-c", ": < /proc/" + std::to_string(pid) + "/" + name}) == 0;
  };
  const Process other(as_plain({"sleep", "600"}));
  for (const char* name : {"environ", "mem", "maps"})
    CHECK(Await([&] { return may_open(other.Pid(), name); }));

  SimUnderTest sim;
  DaemonUnderTest daemon(sim, {}, Launch::kLater);
  daemon.SetWrapper(plain);
  daemon.Start();
  for (const char* name : {"environ", "mem", "maps"}) CHECK_FALSE(may_open(daemon.Pid(), name));
  const std::string limits = ReadFile(ProcFile(daemon, "limits"));
  constexpr std::string_view kCore = "Max core file size";
  REQUIRE(Holds(limits, kCore));
  std::istringstream values(limits.substr(limits.find(kCore) + kCore.size()));
  std::string soft, hard;
  values >> soft >> hard;
  CHECK(soft == "0");
  CHECK(hard == "0");
}

}  // namespace
}  // namespace outboxd
