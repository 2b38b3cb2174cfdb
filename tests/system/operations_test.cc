// docs/operations.md keeps its word: each of its sh blocks is run against a daemon in the state that its
// section is about. The paths of the installed outboxd stand for those of the daemon under test; systemctl
// and chown are stand-ins, and JOB and CAUSE are filled in.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

#include "tests/system/scene.h"

namespace outboxd {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kNotRun = "<!-- not run: needs ";  // PROGRAM -->, on the line before the block

struct Block {
  std::string section;  // the heading it stands under
  std::string text;
  std::string needs;  // empty: it is run
  std::size_t line = 0;
};

std::vector<Block> BlocksOf(std::istream& document) {
  std::vector<Block> blocks;
  std::string section;
  std::string before;
  bool inside = false;
  std::size_t number = 0;
  for (std::string line; std::getline(document, line);) {
    ++number;
    if (line.starts_with("```")) {
      inside = !inside && line == "```sh";
      if (inside) {
        const bool is_run = !before.starts_with(kNotRun);
        const std::string needs =
            is_run ? "" : before.substr(kNotRun.size(), before.rfind(" -->") - kNotRun.size());
        blocks.push_back({section, {}, needs, number});
      }
    } else if (inside) {
      blocks.back().text += line + '\n';
    } else if (line.starts_with('#')) {
      section = line.substr(line.find_first_not_of("# "));
    }
    before = line;
  }
  return blocks;
}

std::vector<Block> Document() {
  std::ifstream file(OUTBOXD_SOURCE_DIR "/docs/operations.md");
  return BlocksOf(file);
}

void Replace(std::string& text, std::string_view what, const std::string& by) {
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + by.size()))
    text.replace(at, what.size(), by);
}

void WriteProgram(const fs::path& file, const std::string& script) {
  WriteFile(file, "#!/bin/sh\n" + script);
  fs::permissions(file, fs::perms::owner_all);
}

// A host with outboxd on it, as far as the recipes look.
class Host {
 public:
  explicit Host(const ConfigValues& overrides = {}) : daemon(sim, overrides) {
    fs::create_directory(programs_);
    WriteProgram(programs_ / "outboxctl", std::string("exec '") + OUTBOXCTL_BINARY + "' --config '" +
                                              daemon.ConfigFile().string() + "' --socket '" +
                                              daemon.AdminSocket().string() + "' --producer '" +
                                              daemon.ProducerSocket().string() + "' \"$@\"\n");
    // Starting is the test's; a stopped process stays until the test looks after it.
    WriteProgram(programs_ / "systemctl",
                 "[ \"$*\" = 'start outboxd' ] && exit 0\n"
                 "[ \"$*\" = 'stop outboxd.socket outboxd-admin.socket outboxd-track.socket outboxd' ] && "
                 "kill \"$OUTBOXD_PID\" || exit 1\n"
                 "until grep -q '^State:.*Z' /proc/\"$OUTBOXD_PID\"/status; do sleep 0.01; done\n");
    WriteProgram(programs_ / "chown", "[ \"$1\" = outboxd: ] && [ -f \"$2\" ]\n");
  }

  void Run(const Block& block, const std::map<std::string, std::string>& words = {}) {
    std::string text = block.text;
    for (const auto& [word, value] : words) Replace(text, word, value);
    Replace(text, "/run/outboxd/admin.sock", daemon.AdminSocket());
    Replace(text, "/var/lib/outboxd", daemon.Dir());
    ProcessOptions shell;
    shell.command = {"sh", "-e", "-u", "-c", "cd '" + daemon.Dir().string() + "'\n" + text};
    shell.environment = {{"PATH", programs_.string() + ":" + getenv("PATH")},
                         {"OUTBOXD_PID", daemon.Running() ? std::to_string(daemon.Pid()) : "0"}};
    const Finished finished = outboxd::Run(std::move(shell), std::chrono::seconds(kSanitized ? 120 : 60));
    INFO("docs/operations.md:", block.line, ":\n", text, "\nout: ", finished.out, "\nerr: ", finished.err);
    CHECK(finished.status.code == 0);
    out = finished.out;
  }

  SimUnderTest sim;
  DaemonUnderTest daemon;
  std::string out;  // of the last block

 private:
  TempDir folder_;
  fs::path programs_ = folder_ / "bin";
};

using Blocks = std::vector<Block>;

// A job waits.
void RunFirstLook(const Blocks& blocks) {
  Host host;
  host.sim.Script(R"([{"match":{"customer":"waits"},"action":{"status":503}}])");
  const std::string job = host.daemon.Accept(Event("waits", 1));
  AwaitAttempts(host.daemon, job, 1);
  for (const Block& block : blocks) host.Run(block, {{"JOB", job}});
  CHECK(host.out.find("503") != std::string::npos);  // explain says why the job waits
}

void RunDeadLetters(const Blocks& blocks) {
  Host host;
  host.sim.Script(
      R"([{"match":{"count":2},"action":{"status":400,"body":"{\"meta\":{\"error\":\"no such thing\"}}"}}])");
  const std::string job = host.daemon.Accept(Event("a", 1));
  const std::string cause = AwaitDead(host.daemon, job)["cause"].String();
  for (const Block& block : blocks) host.Run(block, {{"JOB", job}, {"CAUSE", cause}});
  CHECK(Await([&] { return AttemptsOf(host.daemon, job).size() == 2; }));
  CHECK(fs::exists(host.daemon.Dir() / "dead.ndjson"));
}

void RunBackup(const Blocks& blocks) {
  REQUIRE(blocks.size() == 2);
  Host host;
  host.sim.Always(R"({"status":503})");
  AcceptAll(host.daemon, ManyEvents(100, 10));
  host.Run(blocks[0]);
  AcceptAll(host.daemon, {Event("later", 1)});
  host.Run(blocks[1]);
  host.sim.ClearScript();
  host.daemon.Start();
  host.daemon.AwaitDrained();
  CHECK(host.sim.AllEffects().size() == 100);
  CHECK(host.sim.Effects("later").empty());
}

void RunForget(const Blocks& blocks) {
  Host host;
  host.sim.Script(R"([{"match":{"event":"step"},"action":{"status":503}}])");
  AcceptAll(host.daemon, {Event("42", 1), Event("42", 2)});
  for (const Block& block : blocks) host.Run(block);
  host.daemon.AwaitDrained();
  host.sim.AwaitEffects(1);
  CHECK(host.sim.Effects("42").at(0).type == "destroy");
}

void RunSearch(const Blocks& blocks) {
  Host host;
  const std::string job = host.daemon.Accept(Event("42", 1));
  host.daemon.AwaitDrained();
  for (const Block& block : blocks) host.Run(block, {{"JOB", job}});
  CHECK(host.out.find(job) != std::string::npos);
}

void RunMetrics(const Blocks& blocks) {
  Host host;
  host.daemon.Accept(Event("a", 1));
  for (const Block& block : blocks) host.Run(block);
  CHECK(host.out.find("outboxd_jobs_accepted_total") != std::string::npos);
}

// Zeroes the page that holds the line of `customer`.
void DamagePageOf(const fs::path& outbox, const std::string& customer) {
  constexpr std::size_t kPageBytes = 4096;
  std::string bytes = ReadFile(outbox);
  const std::size_t at = bytes.find(R"("id":")" + customer + '"');
  REQUIRE(at != std::string::npos);
  std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(at / kPageBytes * kPageBytes), kPageBytes, '\0');
  WriteFile(outbox, bytes);
}

constexpr std::size_t kJobs = 1000;

// An outbox of several pages, one of which is damaged; outboxd is stopped.
void Damage(Host& host) {
  host.sim.Always(R"({"status":503})");
  AcceptAll(host.daemon, ManyEvents(kJobs, kJobs));
  CHECK(host.daemon.Terminate().code == 0);
  DamagePageOf(host.daemon.OutboxFile(), "c500");
  const Finished started = host.daemon.RunToEnd();
  INFO("a damaged outbox is refused: ", started.err);
  CHECK(started.status.code == 1);
  CHECK(started.err.find("damaged") != std::string::npos);
  host.sim.ClearScript();
}

// All but what was on the damaged page arrives.
void CheckRecovered(Host& host) {
  host.daemon.AwaitDrained();
  CHECK(host.sim.Effects("c500").empty());
  CHECK(host.sim.AllEffects().size() > kJobs / 2);
  CHECK(host.daemon.Status()["states"]["dead"].Int() == 0);
  host.daemon.Accept(Event("new", 1));
  host.daemon.AwaitDrained();
  CHECK(host.sim.Effects("new").size() == 1);
  CheckFlawless(host.sim.Report());
  CHECK(host.daemon.Terminate().code == 0);
}

void RunDamagedFile(const Blocks& blocks) {
  REQUIRE(blocks.size() == 3);
  const Block& recover = blocks[0];
  const Block& replace = blocks[1];
  const Block& import = blocks[2];
  {
    Host host;
    Damage(host);
    host.Run(recover);
    host.Run(replace);
    host.daemon.Start();
    CheckRecovered(host);
  }
  Host host;
  Damage(host);
  host.Run(recover);
  host.daemon.SetConfig("outbox.path", Quoted((host.daemon.Dir() / "new.db").string()));
  host.daemon.Start();
  host.Run(import);
  CheckRecovered(host);
}

// What stands under each heading is run by one of these.
const std::map<std::string, std::function<void(const Blocks&)>>& Scenes() {
  static const std::map<std::string, std::function<void(const Blocks&)>> scenes = {
      {"Operations", RunFirstLook},       {"Dead letters", RunDeadLetters},
      {"Where is an event?", RunSearch},  {"Damaged file", RunDamagedFile},
      {"Backup and restore", RunBackup},  {"A customer to be forgotten", RunForget},
      {"Metrics and alerts", RunMetrics},
  };
  return scenes;
}

void RunSection(const std::string& section) {
  Blocks blocks = Document();
  std::erase_if(blocks, [&](const Block& block) { return block.section != section || !block.needs.empty(); });
  REQUIRE_FALSE(blocks.empty());
  Scenes().at(section)(blocks);
}

// Programs that no test can bring along.
bool IsOutOfReach(const Block& block) {
  static const std::vector<std::string> programs = {"apt", "dmesg", "journalctl", "smartctl", "systemctl"};
  return std::find(programs.begin(), programs.end(), block.needs) != programs.end() &&
         std::regex_search(block.text, std::regex("\\b" + block.needs + "\\b"));
}

TEST_CASE("operations: every sh block of the document is run, or needs what no test has") {
  for (const Block& block : Document()) {
    INFO("docs/operations.md:", block.line);
    CHECK(block.needs.empty() == Scenes().contains(block.section));
    if (!block.needs.empty()) CHECK(IsOutOfReach(block));
  }
  std::istringstream planted(
      "# A\n<!-- not run: needs journalctl -->\n```sh\njournalctl -f\n```\n"
      "## B\n<!-- not run: needs patience -->\n```sh\noutboxctl status\n```\n"
      "<!-- not run: needs journalctl -->\n```sh\noutboxctl status\n```\n```sh\nx\n```\n");
  const Blocks blocks = BlocksOf(planted);
  REQUIRE(blocks.size() == 4);
  CHECK(IsOutOfReach(blocks[0]));
  CHECK_FALSE(IsOutOfReach(blocks[1]));
  CHECK_FALSE(IsOutOfReach(blocks[2]));
  CHECK(blocks[3].section == "B");
  CHECK(blocks[3].needs.empty());
}

TEST_CASE("operations: the first three commands answer") {
  RunSection("Operations");
}
TEST_CASE("operations: dead letters are shown, redriven, exported and dropped") {
  RunSection("Dead letters");
}
TEST_CASE("operations: an event is looked for") {
  RunSection("Where is an event?");
}
TEST_CASE("operations: a damaged file is recovered, and outboxd delivers what could be read") {
  RunSection("Damaged file");
}
TEST_CASE("operations: a backup is taken and restored") {
  RunSection("Backup and restore");
}
// A backup of three waiting jobs; three more are accepted after it.
std::string BackUpBetweenJobs(DaemonUnderTest& daemon) {
  AcceptAll(daemon, ManyEvents(3, 3));
  std::string backup = daemon.Dir() / "backup.db";
  REQUIRE(daemon.Ctl({"backup", backup}).status.code == 0);
  AcceptAll(daemon, ManyEvents(3, 3, "later"));
  return backup;
}

TEST_CASE("operations: restore refuses while outboxd runs, and the restored outbox is delivered") {
  SimUnderTest sim;
  sim.Script(R"([{"match":{},"action":{"status":503}}])");
  DaemonUnderTest daemon(sim);
  const std::string backup = BackUpBetweenJobs(daemon);
  const auto restore = [&] {
    ProcessOptions run;
    run.command = {OUTBOXCTL_BINARY, "--config", daemon.ConfigFile(), "restore", backup};
    return Run(std::move(run));
  };
  const Finished refused = restore();
  CHECK(refused.status.code == 1);
  CHECK_MESSAGE(refused.err.find("in use by another outboxd") != std::string::npos, refused.err);
  daemon.Kill9();
  const Finished restored = restore();
  CHECK_MESSAGE(restored.out.find(": 3 waiting jobs, 0 dead letters\n") != std::string::npos,
                restored.out << restored.err);
  sim.ClearScript();
  daemon.Start();
  daemon.AwaitDrained();
  CHECK(daemon.Status()["totals"]["delivered"].Int() == 3);
}

TEST_CASE("operations: a backup that was copied over the remains of a killed outboxd is not opened") {
  SimUnderTest sim;
  sim.Script(R"([{"match":{},"action":{"status":503}}])");
  DaemonUnderTest daemon(sim);
  const std::string backup = BackUpBetweenJobs(daemon);
  daemon.Kill9();
  std::filesystem::copy_file(backup, daemon.OutboxFile(), std::filesystem::copy_options::overwrite_existing);
  const Finished refused = daemon.RunToEnd();
  CHECK(refused.status.code == 1);
  CHECK(refused.err.find("use outboxctl restore") != std::string::npos);
}

TEST_CASE("operations: a customer is forgotten and deleted") {
  RunSection("A customer to be forgotten");
}
TEST_CASE("operations: metrics and health are answered") {
  RunSection("Metrics and alerts");
}

}  // namespace
}  // namespace outboxd
