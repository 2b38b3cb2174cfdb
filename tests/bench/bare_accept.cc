#include "tests/bench/bare_accept.h"

#include <sqlite3.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <memory>
#include <span>
#include <stdexcept>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/json.h"
#include "tests/bench/sockets.h"

namespace outboxd::bench {
namespace {

constexpr std::size_t kReadBytes = 256 * 1024;
constexpr std::uint64_t kListenerTag = 0;
// As long as the daemon's, so that both send the same bytes.
constexpr std::string_view kReply = "{\"ok\":true,\"job\":\"01JDB3T0C5W7X8Y9Z0ABCDEFGH\"}\n";

class Table {
 public:
  explicit Table(const std::string& file);
  Table(const Table&) = delete;
  Table& operator=(const Table&) = delete;
  ~Table();
  void Insert(std::string_view line);
  void Commit();

 private:
  void Run(const char* sql);
  void Demand(bool is_done) const;

  sqlite3* database_ = nullptr;
  sqlite3_stmt* insert_ = nullptr;
  bool is_open_ = false;  // a transaction
};

Table::Table(const std::string& file) {
  for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(file + suffix);
  Demand(sqlite3_open(file.c_str(), &database_) == SQLITE_OK);
  Run("PRAGMA journal_mode = WAL");
  Run("PRAGMA synchronous = FULL");
  Run("PRAGMA wal_autocheckpoint = 4000");
  Run("CREATE TABLE outbox (seq INTEGER PRIMARY KEY, job TEXT NOT NULL, connection TEXT NOT NULL, type TEXT "
      "NOT NULL, customer TEXT,"
      " accepted_ms INTEGER NOT NULL, line TEXT NOT NULL)");
  constexpr std::string_view kInsert =
      "INSERT INTO outbox (job, connection, type, customer, accepted_ms, line)"
      " VALUES ('01JDB3T0C5W7X8Y9Z0ABCDEFGH', 'default', 'track', 'c0000000042', 1700000000000, ?)";
  Demand(sqlite3_prepare_v2(database_, kInsert.data(), static_cast<int>(kInsert.size()), &insert_, nullptr) ==
         SQLITE_OK);
}

Table::~Table() {
  sqlite3_finalize(insert_);
  sqlite3_close(database_);
}

void Table::Insert(std::string_view line) {
  if (!is_open_) Run("BEGIN");
  is_open_ = true;
  Demand(sqlite3_bind_text64(insert_, 1, line.data(), line.size(), SQLITE_STATIC, SQLITE_UTF8) == SQLITE_OK);
  Demand(sqlite3_step(insert_) == SQLITE_DONE);
  sqlite3_reset(insert_);
}

void Table::Commit() {
  if (is_open_) Run("COMMIT");
  is_open_ = false;
}

void Table::Run(const char* sql) {
  Demand(sqlite3_exec(database_, sql, nullptr, nullptr, nullptr) == SQLITE_OK);
}

void Table::Demand(bool is_done) const {
  if (!is_done) throw std::runtime_error(std::string("sqlite: ") + sqlite3_errmsg(database_));
}

struct Client {
  Descriptor socket;
  std::string in;  // the beginning of a line
  std::string out;
  std::uint64_t lines = 0;  // inserted, not yet answered
};

class BareAccept {
 public:
  explicit BareAccept(const BareAcceptOptions& options)
      : options_(options), table_(options.file), listener_(ListenUnix(options.socket)) {
    Watch(epoll_, listener_.number(), EPOLLIN, kListenerTag);
    if (options.deliver) poster_.emplace(*options.deliver);
  }
  std::string Run();

 private:
  bool IsDone() const;
  int Wait(std::span<epoll_event> ready);
  void Deliver();
  void Accept();
  void Read(Client& client);
  void InsertLines(Client& client);
  void Answer(Client& client);

  const BareAcceptOptions options_;
  Table table_;
  Descriptor epoll_ = MakeEpoll();
  Descriptor listener_;
  std::unordered_map<std::uint64_t, std::unique_ptr<Client>> clients_;
  std::uint64_t last_tag_ = kListenerTag;
  std::vector<char> buffer_ = std::vector<char>(kReadBytes);
  std::uint64_t lines_ = 0;
  std::uint64_t commits_ = 0;
  std::size_t unsent_bytes_ = 0;  // over all clients
  std::optional<Poster> poster_;
};

std::string BareAccept::Run() {
  std::array<epoll_event, 256> ready{};
  const double cpu_before = ProcessCpuSeconds();
  while (!IsDone()) {
    const std::uint64_t lines_before = lines_;
    const int count = Wait(ready);
    if (count < 0 && errno != EINTR) FailSystem("epoll_wait");
    const auto each = [&](auto work) {
      for (int i = 0; i < count; ++i) {
        const std::uint64_t tag = ready[static_cast<std::size_t>(i)].data.u64;
        if (tag != kListenerTag) work(*clients_.at(tag));
      }
    };
    Accept();
    each([this](Client& client) { Read(client); });
    commits_ += lines_ > lines_before ? 1 : 0;
    table_.Commit();
    each([this](Client& client) { Answer(client); });
    Deliver();
  }
  JsonWriter json;
  json.Object()
      .Key("lines")
      .Int(static_cast<std::int64_t>(lines_))
      .Key("commits")
      .Int(static_cast<std::int64_t>(commits_));
  json.Key("cpu_seconds").Number(ProcessCpuSeconds() - cpu_before);
  json.Key("switches").Int(static_cast<std::int64_t>(ContextSwitches()));
  const Written written = WrittenBytes();
  json.Key("handed_bytes").Int(static_cast<std::int64_t>(written.handed_bytes));
  json.Key("written_bytes").Int(static_cast<std::int64_t>(written.counted_bytes));
  json.Key("peak_bytes").Int(static_cast<std::int64_t>(PeakMemoryBytes())).EndObject();
  return json.Take();
}

bool BareAccept::IsDone() const {
  return lines_ >= options_.count && unsent_bytes_ == 0 && (!poster_ || poster_->FinishedEvents() >= lines_);
}

int BareAccept::Wait(std::span<epoll_event> ready) {
  if (poster_) poster_->Wait(epoll_.number());
  return epoll_wait(epoll_.number(), ready.data(), static_cast<int>(ready.size()), poster_ ? 0 : -1);
}

void BareAccept::Deliver() {
  if (!poster_) return;
  poster_->Perform();
  const bool is_behind = poster_->StartedEvents() < lines_;
  while (!poster_->IsFull() && poster_->StartedEvents() < lines_) poster_->Start();
  if (is_behind) poster_->Perform();
}

void BareAccept::Accept() {
  for (Descriptor socket = AcceptFrom(listener_); socket.number() >= 0; socket = AcceptFrom(listener_)) {
    auto client = std::make_unique<Client>();
    client->socket = std::move(socket);
    Watch(epoll_, client->socket.number(), EPOLLIN | EPOLLOUT | EPOLLET, ++last_tag_);
    clients_.emplace(last_tag_, std::move(client));
  }
}

void BareAccept::Read(Client& client) {
  // Until it is empty; the feeder's window bounds that.
  for (;;) {
    const ssize_t count = recv(client.socket.number(), buffer_.data(), buffer_.size(), 0);
    if (count < 0 && errno != EAGAIN && errno != EINTR) FailSystem("recv");
    if (count <= 0) return;
    client.in.append(buffer_.data(), static_cast<std::size_t>(count));
    InsertLines(client);
    // The epoll is edge-triggered: a read that did not fill the buffer emptied the socket.
    if (static_cast<std::size_t>(count) < buffer_.size()) return;
  }
}

void BareAccept::InsertLines(Client& client) {
  const std::string_view in = client.in;
  std::size_t start = 0;
  for (std::size_t end = in.find('\n'); end != std::string_view::npos; end = in.find('\n', start)) {
    table_.Insert(in.substr(start, end - start));
    start = end + 1;
    ++client.lines;
    ++lines_;
  }
  client.in.erase(0, start);
}

void BareAccept::Answer(Client& client) {
  unsent_bytes_ -= client.out.size();
  for (; client.lines > 0; --client.lines) client.out += kReply;
  if (!SendSome(client.socket.number(), client.out)) throw std::runtime_error("the feeder is gone");
  unsent_bytes_ += client.out.size();
}

}  // namespace

std::string RunBareAccept(const BareAcceptOptions& options) {
  return BareAccept(options).Run();
}

}  // namespace outboxd::bench
