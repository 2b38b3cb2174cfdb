// The machine fails: disk, clock, limits, the file itself. The promises stay, and outboxd says what is wrong.
#include <doctest/doctest.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <random>
#include <thread>

#include "tests/system/machine.h"
#include "tests/system/scene.h"

namespace outboxd {
namespace {

std::string CodeOf(const JsonValue& reply) {
  return reply["error"]["code"].String();
}

bool IsAccepted(const JsonValue& reply) {
  return reply["ok"].Bool();
}

// Sends the customer's events n, n + 1, … until one is answered as wanted; each refused one again. The number
// of those accepted.
std::int64_t SendUntil(LineClient& producer, std::string_view customer, std::int64_t n,
                       const std::function<bool(const JsonValue&)>& wanted) {
  JsonValue reply;
  const bool came = Await([&] {
    reply = Parsed(producer.Ask(Event(customer, n)));
    if (reply["ok"].Bool()) ++n;
    return wanted(reply);
  });
  REQUIRE_MESSAGE(came, "the last reply was " << reply.ToText());
  return n;
}

struct DiskFault {
  const char* what;
  std::atomic<int> FaultSwitch::* call;
  int error;
  const char* code;
};

TEST_CASE(
    "machine: whatever the disk refuses, producers are told, deliveries go on, and all is well once it is" *
    doctest::skip(kSanitized)) {
  for (const DiskFault& fault : {DiskFault{"write ENOSPC", &FaultSwitch::write_error, ENOSPC, "spool_full"},
                                 {"write EIO", &FaultSwitch::write_error, EIO, "internal"},
                                 {"fdatasync EIO", &FaultSwitch::sync_error, EIO, "internal"},
                                 {"fdatasync ENOSPC", &FaultSwitch::sync_error, ENOSPC, "internal"}}) {
    CAPTURE(fault.what);
    SimUnderTest sim;
    Machine machine(sim);
    DaemonUnderTest& daemon = machine.daemon;
    LineClient producer = daemon.Producer();
    std::int64_t next = SendUntil(producer, "a", 1, IsAccepted);
    sim.Script(R"([{"match":{},"action":{"delay_ms":300}}])");
    next = SendUntil(producer, "a", next, IsAccepted);
    machine.faults->*fault.call = fault.error;
    next =
        SendUntil(producer, "a", next, [&](const JsonValue& reply) { return CodeOf(reply) == fault.code; });
    CHECK(machine.faults->failed_calls > 0);
    daemon.AwaitStatus([](const JsonValue& status) { return !status["accepting"].Bool(true); });
    CHECK(daemon.Running());
    machine.faults->*fault.call = 0;
    sim.ClearScript();
    next = SendUntil(producer, "a", next, IsAccepted);
    daemon.AwaitDrained();
    CheckNumbered(sim, "a", next - 1);
    CheckFlawless(sim.Report());
    CHECK(daemon.Status()["accepting"].Bool());
    CHECK(daemon.Terminate().code == 0);
  }
}

TEST_CASE("machine: a disk that fails while outboxd stops or starts loses nothing" *
          doctest::skip(kSanitized)) {
  SimUnderTest sim;
  Machine machine(sim);
  sim.Script(R"([{"match":{},"action":{"status":503}}])");
  AcceptAll(machine.daemon, ManyEvents(200, 20));
  machine.faults->truncate_error = EIO;
  machine.faults->sync_error = EIO;
  machine.daemon.Terminate();
  machine.faults->sync_error = 0;
  machine.faults->truncate_error = 0;
  machine.faults->write_error = EIO;
  const Finished refused = machine.daemon.RunToEnd();
  CHECK(refused.status.code == 1);
  CHECK(refused.err.find("outbox") != std::string::npos);
  machine.faults->write_error = 0;
  sim.ClearScript();
  machine.daemon.Start();
  machine.daemon.AwaitDrained();
  CHECK(sim.Report().effects == 200);
  CheckFlawless(sim.Report());
}

TEST_CASE("machine: a clock that jumps hours ahead or back stops nothing and reorders nothing" *
          doctest::skip(kSanitized)) {
  SimUnderTest sim;
  Machine machine(sim, {{"connections.default.rate_limit", "200"},
                        {"connections.default.retry", "{base: 50ms, cap: 500ms, retry_after_cap: 1s}"}});
  sim.Script(R"([{"match":{"probability":0.1},"action":{"status":503}}])");
  LineClient producer = machine.daemon.Producer();
  std::int64_t next = 1;
  for (const std::int64_t jump : {7200, -7200, -86'400, 86'400, 0}) {
    machine.faults->clock_seconds = jump;
    for (int count = 0; count < 40; ++count) next = SendUntil(producer, "a", next, IsAccepted);
  }
  sim.ClearScript();
  machine.daemon.AwaitDrained();
  CheckNumbered(sim, "a", next - 1);
  CheckFlawless(sim.Report());
}

TEST_CASE("machine: a full file system refuses new jobs and nothing else, until there is room again") {
  SimUnderTest sim;
  TempDir folder;
  if (mount("tmpfs", folder.Path().c_str(), "tmpfs", 0, "size=128m") != 0) {
    MESSAGE("skipped: only root may mount a tmpfs, where the system lets it");
    return;
  }
  struct Unmount {
    const std::filesystem::path& path;
    ~Unmount() { umount2(path.c_str(), MNT_DETACH); }
  } unmount{folder.Path()};
  DaemonUnderTest daemon(sim, {{"outbox.path", (folder / "outbox.db").string()},
                               {"outbox.min_free_bytes", "64MiB"},
                               {"retry.max_attempts", "100000"}});
  sim.Script(R"([{"match":{},"action":{"status":503}}])");
  LineClient producer = daemon.Producer();
  const std::string filler(90'000, 'x');
  const std::string line = R"({"type":"track","id":"a","name":"n","data":{"filler":")" + filler + "\"}}";
  std::uint64_t accepted = 0;
  JsonValue reply;
  REQUIRE(Await([&] {
    reply = Parsed(producer.Ask(line));
    accepted += reply["ok"].Bool() ? 1U : 0U;
    return CodeOf(reply) == "spool_full";
  }));
  CHECK(reply["error"]["message"].String().find("free") != std::string::npos);
  CHECK(accepted > 50);
  CHECK_FALSE(daemon.Status()["accepting"].Bool(true));
  sim.ClearScript();
  daemon.AwaitDrained();
  CHECK(sim.Report().effects == accepted);
  CheckFlawless(sim.Report());
  CHECK(Await([&] { return Parsed(producer.Ask(Event("b", 1)))["ok"].Bool(); }));
  daemon.AwaitDrained();
  CHECK(daemon.Terminate().code == 0);
}

TEST_CASE(
    "machine: a damaged outbox is refused with what to do and left as it is, or serves what can be read") {
  const std::uint64_t seed = std::random_device()();
  INFO("seed ", seed);
  std::mt19937_64 random(seed);
  SimUnderTest sim;
  DaemonUnderTest daemon(sim);
  sim.Script(R"([{"match":{},"action":{"status":503}}])");
  AcceptAll(daemon, ManyEvents(300, 30));
  daemon.Terminate();
  const std::string sound = ReadFile(daemon.OutboxFile());
  daemon.SetWrapper({"timeout", "--preserve-status", "--signal=TERM",
                     kSanitized ? "3" : "1"});  // one that starts is stopped again
  for (int round = 0; round < 9; ++round) {
    std::string damaged = sound;
    if (round % 3 == 0) {
      damaged.resize(random() % damaged.size());
    } else if (round % 3 == 1) {
      for (int flip = 0; flip < 20; ++flip)
        damaged[random() % damaged.size()] ^= static_cast<char>(1 << random() % 8);
    } else {
      const std::size_t at = random() % (damaged.size() - 1);
      std::fill_n(damaged.begin() + static_cast<std::ptrdiff_t>(at),
                  std::min<std::size_t>(4096, damaged.size() - at), '\0');
    }
    WriteFile(daemon.OutboxFile(), damaged);
    for (const char* suffix : {"-wal", "-shm"})
      std::filesystem::remove(daemon.OutboxFile().string() + suffix);
    const Finished ended = daemon.RunToEnd();
    INFO("round ", round, ": ", ended.err);
    CHECK(ended.status.signal == 0);
    if (ended.status.code == 0) continue;
    CHECK(ended.status.code == 1);
    CHECK(ended.err.find("outbox.db") != std::string::npos);
  }
}

TEST_CASE(
    "machine: without free descriptors the producers there are go on, and new ones come in as others leave") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim, {{"workers", "1"}}, Launch::kLater);
  daemon.SetWrapper({"prlimit", "--nofile=64:64"});
  daemon.Start();
  LineClient first = daemon.Producer();
  REQUIRE(Parsed(first.Ask(Event("a", 1)))["ok"].Bool());
  std::vector<LineClient> crowd;
  for (int i = 0; i < 80; ++i) crowd.push_back(daemon.Producer());
  CHECK(Parsed(first.Ask(Event("a", 2)))["ok"].Bool());
  crowd.clear();
  CHECK(Parsed(daemon.Producer().Ask(Event("a", 3)))["ok"].Bool());
  daemon.AwaitDrained();
  CheckNumbered(sim, "a", 3);
  CHECK(daemon.Running());
}

TEST_CASE("machine: within a limit of memory a backlog and a crowd are served" * doctest::skip(kSanitized)) {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim, {}, Launch::kLater);
  daemon.SetWrapper({"prlimit", "--data=134217728:134217728"});
  daemon.Start();
  sim.Script(R"([{"match":{},"action":{"status":503}}])");
  AcceptAll(daemon, ManyEvents(20'000, 500));
  sim.ClearScript();
  daemon.AwaitDrained(kLongPatience);
  CHECK(sim.Report().effects == 20'000);
  CheckFlawless(sim.Report());
}

TEST_CASE("machine: a name server that never answers holds up only the connection that asks it, and no stop" *
          doctest::skip(kSanitized)) {
  SimUnderTest sim;
  ConfigValues overrides = ConnectionConfigOf("lost", sim);
  overrides["workers"] = "1";
  overrides["connections.lost.base_url"] = "https://track.example.invalid";
  overrides["connections.lost.connect_timeout"] = "100ms";
  Machine machine(sim, overrides);
  machine.faults->names_hang = 1;
  const std::string job =
      machine.daemon.Accept(R"({"type":"track","connection":"lost","id":"42","name":"step"})");
  AwaitAttempts(machine.daemon, job, 2);
  CHECK(AttemptsOf(machine.daemon, job).front()["error"].String() == "resolve: timeout after 100 ms");
  const std::string other = machine.daemon.Accept(Event("43", 1));
  sim.AwaitEffects(1);
  CHECK(machine.daemon.Terminate().code == 0);
  machine.faults->names_hang = 0;
  machine.daemon.SetConfig("connections.lost.base_url", Quoted(sim.BaseUrl()));
  machine.daemon.Start();
  machine.daemon.AwaitDrained();
  CHECK(sim.Report().effects == 2);
}

TEST_CASE("machine: a check says what a start would say of the outbox's file system" *
          doctest::skip(kSanitized)) {
  constexpr int kExitConfig = 78;
  SimUnderTest sim;
  Machine machine(sim, {}, Launch::kLater);
  const std::string config = machine.daemon.ConfigFile();
  const auto says = [](const Finished& finished, std::string_view text) {
    INFO(finished.out, finished.err);
    CHECK((finished.out + finished.err).find(text) != std::string::npos);
  };
  machine.faults->file_system = 0x6969;
  for (const Finished& finished :
       {machine.daemon.RunToEnd(), machine.daemon.RunToEnd({"--check"}), machine.Ctl({"check", config})}) {
    says(finished, "outbox.path: " + machine.daemon.OutboxFile().string() +
                       " would be on a network file system (NFS), where ");
    CHECK((finished.status.code == kExitConfig || finished.status.code == 1));
  }
  CHECK(machine.daemon.RunToEnd().status.code == kExitConfig);
  CHECK(machine.daemon.RunToEnd({"--check"}).status.code == kExitConfig);
  CHECK_FALSE(std::filesystem::exists(machine.daemon.OutboxFile()));

  const auto warns = [&](std::string_view text) {
    for (const Finished& finished : {machine.daemon.RunToEnd({"--check"}), machine.Ctl({"check", config})}) {
      says(finished, "warning: outbox.path: " + machine.daemon.OutboxFile().string() + std::string(text));
      CHECK(finished.status.code == 0);
    }
  };
  for (const std::int64_t magic : {0x01021997, 0x65735546}) {
    machine.faults->file_system = magic;
    warns(magic == 0x65735546 ? " is on FUSE or virtiofs, not on a local disk"
                              : " is on 9p, not on a local disk");
  }
  machine.daemon.Start();
  CHECK(machine.daemon.Terminate().code == 0);
  machine.faults->file_system = 0x6969;
  warns(" is on a network file system (NFS), where jobs may be lost");
}

TEST_CASE("machine: SIGTERM at any moment ends it in order, and nothing is lost, doubled or out of order") {
  const std::uint64_t seed = std::random_device()();
  INFO("seed ", seed);
  std::mt19937_64 random(seed);
  SimUnderTest sim;
  DaemonUnderTest daemon(
      sim, {{"limits.window_jobs", "200"}, {"connections.default.batch", "{mode: on, max_items: 20}"}});
  sim.Script(
      R"([{"match":{"probability":0.2},"action":{"delay_ms":20,"jitter_ms":200}},{"match":{"probability":0.05},"action":{"status":503}}])");
  const std::vector<std::string> lines = ManyEvents(4'000, 200);
  AcceptAll(daemon, lines);
  for (int round = 0; round < 8; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(random() % 150));
    CHECK(daemon.Terminate().code == 0);
    daemon.Start();
  }
  sim.ClearScript();
  daemon.AwaitDrained(kLongPatience);
  CHECK(sim.Report().effects == lines.size());
  CheckFlawless(sim.Report());
}

}  // namespace
}  // namespace outboxd
