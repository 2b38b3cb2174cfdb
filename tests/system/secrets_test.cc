// Credentials reach the Track API and nothing else.
#include <doctest/doctest.h>
#include <unistd.h>

#include <sstream>

#include "core/encoding.h"
#include "tests/system/scene.h"

namespace outboxd {
namespace {

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

void CheckTellsNothing(const std::string& where, const std::string& text) {
  INFO("in ", where);
  for (const std::string& form : FormsOf(kAccount.api_key)) CHECK_FALSE(Holds(text, form));
  CHECK_FALSE(Holds(text, kAccount.site_id + ":"));
  CHECK_FALSE(Holds(text, "Authorization: Basic"));
}

void CheckFilesTellNothing(const DaemonUnderTest& daemon) {
  for (const auto& entry : std::filesystem::directory_iterator(daemon.Dir())) {
    if (entry.is_regular_file()) CheckTellsNothing(entry.path().string(), ReadFile(entry.path()));
  }
}

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
  TempDir credentials;
  WriteFile(credentials / "site_id", kAccount.site_id + "\n");
  WriteFile(credentials / "api_key", kAccount.api_key + "\n");
  DaemonUnderTest daemon(sim,
                         {{"log.level", "debug"},
                          {"connections.default.site_id", ""},
                          {"connections.default.api_key", ""},
                          {"connections.default.site_id_file", Quoted((credentials / "site_id").string())},
                          {"connections.default.api_key_file", Quoted((credentials / "api_key").string())}});
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
  CheckFilesTellNothing(daemon);
  daemon.Terminate();
  CHECK(Holds(daemon.Log(), "raw debug"));
  CheckFilesTellNothing(daemon);
}

TEST_CASE("secrets: a config that is wrong around the key is refused without showing it") {
  SimUnderTest sim(kAccount);
  DaemonUnderTest daemon(sim);
  const std::string& key = kAccount.api_key;
  for (const std::string& wrong : {"api_key: " + key + ", api_kee: x", "api_kee: " + key, "api_key: \"" + key,
                                   "api_key: {" + key + ": x}", "api_key: '" + key + "${'",
                                   "api_key: k, api_key: " + key, "api_key_file: " + key}) {
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
