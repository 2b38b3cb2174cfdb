// An outbox of disk format 4, as version 0.1.0 left it, with lines that are refused today: they were accepted
// once, so they are delivered.
#include <doctest/doctest.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/job_line.h"
#include "core/job_types.h"
#include "core/request.h"
#include "tests/daemon/threadless_daemon.h"
#include "tests/support/outbox_use.h"
#include "tests/support/stderr_capture.h"
#include "tests/support/temp_dir.h"

namespace outboxd {
namespace {

using test::ThreadlessDaemon;

constexpr Timestamp kMade = FromUnixMs(1'796'004'161'772);

enum class OldFate : std::uint8_t {
  kDelivered,
  kNeverSent,  // its path would lead out of base_url
};

struct OldLine {
  std::string line;
  std::string sent = {};  // what the request has in its target or body
  OldFate fate = OldFate::kDelivered;
};

std::string Repeat(std::string_view text, std::size_t count) {
  std::string repeated;
  for (std::size_t i = 0; i < count; ++i) repeated += text;
  return repeated;
}
std::string Fields(std::size_t count) {
  std::string json = "{";
  for (std::size_t i = 0; i < count; ++i) json += (i > 0 ? ",\"f" : "\"f") + std::to_string(i) + R"(":"v")";
  return json + "}";
}
std::string RawPost(std::string_view members) {
  return R"({"type":"raw","id":"r","method":"POST","path":"/v1/x",)" + std::string(members) + "}";
}
std::string Request(std::string_view type, std::string_view method, std::string_view target,
                    std::string_view body) {
  return R"({"type":")" + std::string(type) + R"(","request":{"method":")" + std::string(method) +
         R"(","target":")" + std::string(target) + R"(","body":)" + std::string(body) + "}}";
}
std::string Entity(std::string_view type, std::string_view members) {
  return Request(type, "POST", "/api/v2/entity", R"({"type":"person",)" + std::string(members) + "}");
}

std::vector<OldLine> Names() {
  const std::string url = "https://example.com/" + Repeat("x", 4000);
  return {
      {R"({"type":"pageview","id":"1","url":")" + url + "\"}", url},
      {R"({"type":"pageview","anonymous_id":"1","url":" "})", R"("name":" ")"},
      {R"({"type":"track","id":"1","name":"\t"})", R"("name":"\t")"},
      {Request("pageview", "POST", "/api/v1/customers/1/events", R"({"type":"page","name":")" + url + "\"}"),
       url},
      {Request("track", "POST", "/api/v1/customers/1/events", R"({"name":" "})"), R"("name":" ")"},
      {Entity("pageview", R"("action":"page","identifiers":{"id":"1"},"name":")" + url + "\""), url},
  };
}

std::vector<OldLine> Ids() {
  const std::string cio_id(150, 'c');
  return {
      {R"({"type":"identify","id":" "})", "/api/v1/customers/%20"},
      {R"({"type":"suppress","id":"..;x"})", {}, OldFate::kNeverSent},
      {R"({"type":"track","anonymous_id":"..","name":"n"})", R"("anonymous_id":"..")"},
      {R"({"type":"destroy","id":".."})", {}, OldFate::kNeverSent},
      {R"({"type":"unsuppress","id":"%2e"})", {}, OldFate::kNeverSent},
      {R"({"type":"delete_device","id":"1","device_id":".."})", {}, OldFate::kNeverSent},
      {R"({"type":"add_device","id":"1","device":{"id":"..","platform":"ios"}})", R"("id":"..")"},
      {R"({"type":"merge","primary":{"id":".."},"secondary":{"email":" "}})", R"({"email":" "})"},
      {R"({"type":"merge","primary":{"id":"1"},"secondary":{"cio_id":")" + cio_id + "\"}}", cio_id},
      {R"({"type":"form","form_id":"..","data":{"email":"a@b.c"}})", {}, OldFate::kNeverSent},
      {R"({"type":"form","form_id":"f","data":{"email":".."}})", R"({"email":".."})"},
      {R"({"type":"add_to_segment","segment_id":7,"ids":["..","1"]})", R"(["..","1"])"},
      {R"({"type":"remove_from_segment","segment_id":7,"id_type":"cio_id","ids":[")" + cio_id + "\"]}",
       cio_id},
      {R"({"type":"metric","metric":"opened","delivery_id":" "})", R"("delivery_id":" ")"},
      {Request("delete_device", "DELETE", "/api/v1/customers/1/devices/%20", "{}"), "/devices/%20"},
      {Request("form", "POST", "/api/v1/forms/%20/submit", R"({"data":{"id":"1"}})"), "/forms/%20/submit"},
      {Request("destroy", "DELETE", "/api/v1/customers/..", "{}"), {}, OldFate::kNeverSent},
      {Request("add_device", "PUT", "/api/v1/customers/1/devices",
               R"({"device":{"id":".","platform":"ios"}})"),
       R"("id":".")"},
      {Request("merge", "POST", "/api/v1/merge_customers",
               R"({"primary":{"id":"1"},"secondary":{"cio_id":")" + cio_id + "\"}}"),
       cio_id},
      {Entity("destroy", R"("action":"delete","identifiers":{"cio_id":")" + cio_id + "\"}"), cio_id},
      {Entity("destroy", R"("action":"delete","identifiers":{"id":".."})"), R"({"id":".."})"},
  };
}

std::vector<OldLine> RawJobs() {
  return {
      {RawPost(R"("form":)" + Fields(101)), "name=\"f100\""},
      {RawPost(R"("query":)" + Fields(201)), "f200=v"},
      {RawPost(R"("query":{"a":")" + Repeat("x", 70'000) + "\"}"), "xxx"},
      {RawPost(R"("headers":{"Connection":"close","X-A":"1"})"), "/api/v1/x"},
      {RawPost(R"("headers":{"X-HTTP-Method-Override":"DELETE"})"), "/api/v1/x"},
      {R"({"type":"raw","id":"r","method":"TRACE","path":"/v1/x"})", "/api/v1/x"},
      {R"({"type":"raw","id":"r","method":"GET","path":"/v1/x/%252e%252e/y"})", {}, OldFate::kNeverSent},
      {R"({"type":"raw","id":"..","method":"GET","path":"/v1/y"})", "/api/v1/y"},
      {R"({"type":"raw","id":"r","method":"GET","path":"/v1/y?)" + Repeat("a&", 201) + "\"}", "a&a&"},
      {Request("track", "POST", "/api/v1/customers/1/events?" + Repeat("a&", 201), R"({"name":"n"})"),
       "a&a&"},
  };
}

// Members whose rules came later.
std::vector<OldLine> Values() {
  return {
      {R"({"type":"track","id":"1","name":"old","max_age":315360000})", "old"},
      {R"({"type":"add_device","id":"1","device":{"id":"d","platform":"ios","last_used":1e400}})", "1e400"},
      {R"({"type":"add_device","id":"1","device":{"id":"d","platform":"ios","last_used":-1}})", "-1"},
      {R"({"type":"add_device","id":"1","device":{"id":"d","platform":"ios","last_used":1700000000123}})",
       R"("last_used":1700000000})"},
  };
}

std::vector<OldLine> AllOldLines() {
  std::vector<OldLine> all;
  for (const auto& some : {Names(), Ids(), RawJobs(), Values()})
    all.insert(all.end(), some.begin(), some.end());
  return all;
}

std::string Quoted(const std::string& text) {
  std::string quoted = "'";
  for (const char byte : text) quoted += byte == '\'' ? std::string("''") : std::string(1, byte);
  return quoted + "'";
}

// Each line four times: deferred, parked behind that, waiting and dead. Its customers are its own.
class OldOutbox {
 public:
  explicit OldOutbox(const std::filesystem::path& file) : file_(file) {
    const auto folder = std::filesystem::path(OUTBOXD_SOURCE_DIR) / "tests/storage";
    sql_ = "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;" +
           ReadFile(folder / "outbox_v4.sql") +
           "BEGIN; DELETE FROM outbox; DELETE FROM dead_letters; DELETE FROM attempts; DELETE FROM counters;"
           "DELETE FROM connections;";
  }

  // The jobs' ids.
  std::vector<std::string> Add(const std::string& connection, const std::string& line) {
    const auto job = ParseStoredLine(line);
    REQUIRE_MESSAGE(job, (line.substr(0, 200) + ": " + (job ? "" : job.error().message)));
    const LaneList lanes = LanesOf(*job);
    std::vector<std::string> ids;
    ids.push_back(AddRow(connection, *job, std::to_string(ToUnixMs(kMade)), "NULL"));
    if (lanes.size() == 1)
      ids.push_back(
          AddRow(connection, *job, "NULL", std::to_string(static_cast<std::int64_t>(lanes.front()))));
    ids.push_back(AddRow(connection, *job, "NULL", "NULL"));
    const std::string dead = NextId();
    sql_ += "INSERT INTO dead_letters VALUES(" + std::to_string(sequence_) + ",'" + dead + "','" +
            connection + "','" + std::string(JobTypeName(job->type)) + "'," + Quoted(job->customer) +
            ",1796004161772,1796004164015,'rejected',400,'r','r',NULL,1," + Quoted(line) + ",0);";
    ids.push_back(dead);
    return ids;
  }
  void Write() {
    sql_ += "COMMIT";
    auto database = Database::Open(file_, OpenMode::kReadWrite);
    REQUIRE(database);
    const Result<void> done = database->Execute(sql_);
    REQUIRE_MESSAGE(done, (done ? "" : done.error().message));
  }

 private:
  std::string NextId() {
    ++sequence_;
    return Ulid::Make(kMade, Sequence{sequence_}, sequence_).ToText();
  }
  std::string AddRow(const std::string& connection, const Job& job, const std::string& due,
                     const std::string& parked) {
    const std::string id = NextId();
    sql_ += "INSERT INTO outbox VALUES(" + std::to_string(sequence_) + ",'" + id + "','" + connection +
            "','" + std::string(JobTypeName(job.type)) + "'," + Quoted(job.customer) +
            ",1796004161772,NULL,1,0," + due + "," + parked + ",NULL," + Quoted(job.line) +
            ",0,0,0,NULL,0,NULL);";
    return id;
  }

  std::filesystem::path file_;
  std::string sql_;
  std::uint64_t sequence_ = 0;
};

// A daemon whose Track API takes everything.
class Delivery {
 public:
  explicit Delivery(const std::filesystem::path& file) {
    setup_.file = file;
    ConnectionConfig connection;
    connection.name = "default";
    connection.site_id.value = "site";
    connection.api_key.value = "key";
    setup_.endpoints.emplace("default",
                             std::make_shared<const Endpoint>(Endpoint{connection, {"site", "key"}}));
    setup_.disk_free = [] { return std::uint64_t{1} << 40; };
    setup_.check_every = 50;
    const Result<void> started = daemon_.Start(setup_, now_);
    REQUIRE_MESSAGE(started, (started ? "" : started.error().message));
  }

  void RedriveAll() { daemon_.Redrive({}); }
  void Run() {
    for (int quiet = 0; quiet < 5;) {
      daemon_.WorkClerk(now_);
      ThreadlessDaemon::Round round = daemon_.Dispatch(1000, now_);
      REQUIRE(round.pumped);
      quiet = round.transfers.empty() && !daemon_.HasMessages() ? quiet + 1 : 0;
      for (Transfer& transfer : round.transfers) Answer(std::move(transfer));
      now_ += Milliseconds(1000);
    }
  }

  std::map<std::string, std::string> sent;  // by job id: target and body

 private:
  void Answer(Transfer transfer) {
    for (const auto& job : transfer.Jobs()) {
      const HttpRequest request = BuildRequest(job->job, job->stamp);
      const bool is_new = sent.emplace(job->stamp.id.ToText(), request.target + " " + request.body).second;
      CHECK(is_new);
    }
    Finished finished;
    finished.ending = Ending::kAnswered;
    finished.answer.status = 200;
    finished.answer.body = "{}";
    finished.sent = now_;
    finished.duration = Milliseconds(1);
    finished.transfer = std::move(transfer);
    daemon_.Finish(std::move(finished));
  }

  ThreadlessDaemon::Setup setup_;
  ThreadlessDaemon daemon_;
  Timestamp now_ = kMade + std::chrono::hours(1);
};

TEST_CASE(
    "old outbox: lines that 0.1.0 accepted and that are refused today drain and redrive, whatever state they "
    "waited in") {
  const std::vector<OldLine> lines = AllOldLines();
  TempDir folder;
  OldOutbox made(folder / "outbox.db");
  std::vector<std::vector<std::string>> ids;
  for (const OldLine& old : lines) {
    CAPTURE(old.line);
    CHECK_MESSAGE((old.line.find("max_age") != std::string::npos || !ParseJobLine(old.line)),
                  "is not refused today");
    ids.push_back(made.Add("default", old.line));
  }
  made.Write();
  const test::StderrCapture log;
  Delivery delivery(folder / "outbox.db");
  delivery.Run();
  CHECK(test::Ask(folder / "outbox.db", "SELECT count(*) FROM outbox") == 0);
  delivery.RedriveAll();
  delivery.Run();
  CHECK(test::Ask(folder / "outbox.db", "SELECT count(*) FROM outbox") == 0);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const std::string line = lines[i].line.substr(0, 200);
    CAPTURE(line);
    for (const std::string& id : ids[i]) {
      const std::string reason =
          test::AskText(folder / "outbox.db", "SELECT reason FROM dead_letters WHERE job = '" + id + "'");
      if (lines[i].fate == OldFate::kNeverSent) {
        CHECK_FALSE(delivery.sent.contains(id));
        CHECK(reason.find("would lead out of base_url") != std::string::npos);
      } else {
        CHECK(reason == "");
        REQUIRE(delivery.sent.contains(id));
        CHECK(delivery.sent.at(id).find(lines[i].sent) != std::string::npos);
      }
    }
  }
}

}  // namespace
}  // namespace outboxd
