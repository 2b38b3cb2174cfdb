// Whoever reads what the daemon writes has stopped: its log, an answer, metrics. The daemon goes on.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/database.h"
#include "tests/system/scene.h"

namespace outboxd {
namespace {

// A pipe that nobody reads, as a stopped log driver's, in place of the daemon's stderr.
class StoppedLog {
 public:
  explicit StoppedLog(DaemonUnderTest& daemon) : fifo_(daemon.Dir() / "stderr") {
    REQUIRE(mkfifo(fifo_.c_str(), 0600) == 0);
    descriptor_ = open(fifo_.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK);
    REQUIRE(descriptor_ >= 0);
    std::string fill(1 << 20, 'x');
    while (write(descriptor_, fill.data(), fill.size()) > 0) {
    }
    daemon.SetWrapper({"/bin/sh", "-c", R"(exec "$@" 2>")" + fifo_.string() + '"', "sh"});
  }
  ~StoppedLog() { close(descriptor_); }
  StoppedLog(const StoppedLog&) = delete;
  StoppedLog& operator=(const StoppedLog&) = delete;

  // Reads on, until `text` is there.
  std::string ReadUntil(std::string_view text) {
    std::string read_so_far;
    CHECK(Await([&] {
      std::string part(1 << 16, '\0');
      ssize_t length = 0;
      while ((length = read(descriptor_, part.data(), part.size())) > 0)
        read_so_far.append(part, 0, static_cast<std::size_t>(length));
      return read_so_far.find(text) != std::string::npos;
    }));
    return read_so_far.substr(read_so_far.find_first_not_of('x'));
  }

 private:
  std::filesystem::path fifo_;
  int descriptor_ = -1;
};

TEST_CASE("stopped reader: with its stderr blocked the daemon accepts, delivers, answers and stops") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim, {{"log.level", "debug"}}, Launch::kLater);
  StoppedLog log(daemon);
  daemon.Start();
  AcceptAll(daemon, ManyEvents(20'000, 20));
  daemon.AwaitDrained();
  CHECK(daemon.Status()["accepting"].Bool());
  const std::string metrics = daemon.Admin().Get("/metrics").body;
  CHECK(metrics.find("\noutboxd_log_lines_dropped_total") != std::string::npos);
  CHECK(daemon.Terminate().code == 0);
}

TEST_CASE("stopped reader: what the log lacks is told once it is read again") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim, {{"log.level", "debug"}}, Launch::kLater);
  StoppedLog log(daemon);
  daemon.Start();
  AcceptAll(daemon, ManyEvents(20'000, 20));
  daemon.AwaitDrained();
  const std::string text = log.ReadUntil("log lines were dropped");
  CHECK(text.find(" started ") != std::string::npos);
  CHECK(daemon.Terminate().code == 0);
}

TEST_CASE("stopped reader: a start that fails ends although its stderr is blocked") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim, {}, Launch::kLater);
  StoppedLog log(daemon);
  daemon.WriteConfigText("nonsense: true\n");
  CHECK(daemon.RunToEnd().status.code == 78);
}

// Many answers are asked for and none is read.
LineClient AskedInVain(LineClient client, std::string_view path) {
  std::string requests;
  for (int i = 0; i < 2000; ++i)
    requests += "GET " + std::string(path) + " HTTP/1.1\r\nHost: localhost\r\n\r\n";
  client.Send(requests, std::chrono::seconds(1));
  return client;
}

TEST_CASE(
    "stopped reader: operators and scrapers that do not read their answers hold up nobody, nor a stop") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim);
  std::vector<LineClient> stopped;
  for (int i = 0; i < 8; ++i) {
    stopped.push_back(AskedInVain(LineClient(daemon.AdminSocket()), "/metrics"));
    stopped.push_back(AskedInVain(LineClient(daemon.AdminSocket()), "/v1/status"));
  }
  AcceptAll(daemon, ManyEvents(100, 10));
  daemon.AwaitDrained();
  CHECK(daemon.Admin().Get("/metrics").status == 200);
  CHECK(daemon.Terminate().code == 0);
}

TEST_CASE("stopped reader: one who keeps the outbox's WAL is told in the status, and who it is") {
  SimUnderTest sim;
  DaemonUnderTest daemon(sim, {{"outbox.max_bytes", "16MiB"}});
  AcceptAll(daemon, ManyEvents(10, 10));
  // Ours is another process than the daemon, as the sqlite3 shell is.
  auto reader = Database::Open(daemon.OutboxFile(), OpenMode::kReadOnly);
  REQUIRE(reader);
  REQUIRE(reader->Execute("BEGIN; SELECT * FROM outbox"));
  LineClient producer = daemon.Producer();
  const std::string line =
      R"({"type":"track","id":"1","name":"n","data":{"x":")" + std::string(90'000, 'x') + R"("}})";
  CHECK(Await([&] { return Parsed(producer.Ask(line))["error"]["code"].String() == "spool_full"; }));
  const JsonValue outbox = daemon.Status()["outbox"];
  CHECK(outbox["wal_held_bytes"].Int() > 4 << 20);
  CHECK(outbox["wal_held_since_ms"].IsNumber());
  const std::string shown = daemon.Ctl({"status"}).out;
  CHECK_MESSAGE(shown.find("(pid " + std::to_string(getpid()) + ")") != std::string::npos, shown);
  CHECK(daemon.Admin().Get("/metrics").body.find("\noutboxd_wal_held_bytes ") != std::string::npos);
  REQUIRE(reader->Execute("ROLLBACK"));
  daemon.AwaitStatus([](const JsonValue& status) {
    return status["accepting"].Bool() && status["outbox"]["wal_held_bytes"].Int() == 0;
  });
  CHECK(Parsed(producer.Ask(line))["ok"].Bool());
}

}  // namespace
}  // namespace outboxd
