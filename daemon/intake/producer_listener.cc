#include "daemon/intake/producer_listener.h"

#include <pthread.h>
#include <sys/socket.h>

#include <algorithm>
#include <asio/io_context.hpp>
#include <asio/local/stream_protocol.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <future>
#include <thread>
#include <unordered_map>

#include "daemon/base/log.h"
#include "daemon/intake/producer_connection.h"

namespace outboxd {

using Protocol = asio::local::stream_protocol;

class ProducerListener::Impl final : public ProducerConnection::Host {
 public:
  Impl(ProducerListener& origin, UnixListener socket, const LimitsConfig& limits, ConnectionNames names,
       Metrics& metrics, ProducerListener::Submit submit)
      : origin_(origin),
        socket_(std::move(socket)),
        limits_(limits),
        names_(std::move(names)),
        metrics_(metrics),
        submit_(std::move(submit)),
        acceptor_(io_, Protocol(), dup(socket_.descriptor())),
        retry_(io_),
        drained_(io_) {}

  // When the origin knows this object: an answer may come back at once.
  void Start() {
    Accept();
    thread_ = std::thread([this] {
      pthread_setname_np(pthread_self(), "outboxd-intake");
      io_.run();
    });
  }

  ~Impl() override { Stop(Milliseconds(0)); }

  void Configure(const LimitsConfig& limits, ConnectionNames names) {
    asio::post(io_, [this, limits, names = std::move(names)]() mutable {
      limits_ = limits;
      names_ = std::move(names);
    });
  }

  void OnAnswered(std::vector<std::unique_ptr<Submission>> submissions) {
    asio::post(io_, [this, submissions = std::move(submissions)] { Answer(submissions); });
  }

  void Stop(Milliseconds patience) {
    if (!thread_.joinable()) return;
    asio::post(io_, [this, patience] { Drain(patience); });
    thread_.join();
  }

  // --- for the clients
  // -------------------------------------------------------------------------------------------------------------------
  const LimitsConfig& limits() const override { return limits_; }
  const std::vector<std::uint32_t>& users() const override { return socket_.users(); }
  bool Knows(std::string_view connection) const override { return names_.contains(connection); }
  bool IsStopping() const override { return stopping_; }
  SubmissionOrigin& origin() override { return origin_; }
  asio::io_context& io() override { return io_; }
  std::string& read_buffer() override { return read_buffer_; }

  void Submit(std::unique_ptr<ProducerSubmission> submission) override {
    intake_bytes_ += submission->bytes;
    ++unanswered_;
    submit_(std::move(submission));
  }

  bool IntakeIsFull() const override { return intake_bytes_ >= limits_.intake_bytes; }
  void WakeWhenIntakeFalls(std::shared_ptr<ProducerConnection> client) override {
    waiting_.push_back(std::move(client));
  }
  void HeldChanged(std::size_t before_bytes, std::size_t bytes) override {
    held_bytes_ += bytes;
    held_bytes_ -= before_bytes;
    if (held_bytes_ <= limits_.producer_bytes) return;
    const auto holds_less = [](const auto& a, const auto& b) {
      return a.second->held_bytes() < b.second->held_bytes();
    };
    const std::shared_ptr<ProducerConnection> most =
        std::max_element(clients_.begin(), clients_.end(), holds_less)->second;
    most->Drop();
  }
  void Refused(std::string_view code) override { metrics_.Refused(code, 1); }
  void Gone(ProducerConnection* client) override {
    clients_.erase(client);
    FinishIfDrained();
  }

 private:
  void Accept() {
    acceptor_.async_accept([this](const std::error_code& error, Protocol::socket socket) {
      if (stopping_) return;
      if (error) {
        // Most often no descriptor is left: those who are connected go on, and the next try comes when some
        // may be free.
        Log(LogLevel::kWarn, "cannot accept a producer", {{"reason", error.message()}});
        retry_.expires_after(std::chrono::milliseconds(100));
        retry_.async_wait([this](const std::error_code& cancelled) {
          if (!cancelled) Accept();
        });
        return;
      }
      Welcome(std::move(socket));
      Accept();
    });
  }

  void Welcome(Protocol::socket socket) {
    auto client = std::make_shared<ProducerConnection>(*this, std::move(socket));
    clients_.emplace(client.get(), client);
    client->Start(clients_.size() > limits_.clients);
  }

  void Answer(const std::vector<std::unique_ptr<Submission>>& submissions) {
    for (const std::unique_ptr<Submission>& submission : submissions) {
      auto& own = static_cast<ProducerSubmission&>(*submission);
      intake_bytes_ -= own.bytes;
      --unanswered_;
      own.client->Answer(own);
    }
    for (const std::unique_ptr<Submission>& submission : submissions)
      static_cast<ProducerSubmission&>(*submission).client->Flush();
    if (!IntakeIsFull()) {
      for (const std::shared_ptr<ProducerConnection>& client : std::exchange(waiting_, {})) client->Read();
    }
    FinishIfDrained();
  }

  void Drain(Milliseconds patience) {
    stopping_ = true;
    std::error_code ignored;
    acceptor_.close(ignored);
    socket_.Close();
    retry_.cancel();
    waiting_.clear();
    drained_.expires_after(patience);
    drained_.async_wait([this](const std::error_code&) { io_.stop(); });
    const auto clients = clients_;
    for (const auto& [key, client] : clients) client->CloseWhenAnswered();
    FinishIfDrained();
  }

  void FinishIfDrained() {
    if (stopping_ && clients_.empty() && unanswered_ == 0) drained_.cancel();
  }

  ProducerListener& origin_;
  UnixListener socket_;
  LimitsConfig limits_;
  ConnectionNames names_;
  Metrics& metrics_;
  ProducerListener::Submit submit_;
  asio::io_context io_{1};
  Protocol::acceptor acceptor_;
  asio::steady_timer retry_;
  asio::steady_timer drained_;
  std::string read_buffer_;
  std::unordered_map<ProducerConnection*, std::shared_ptr<ProducerConnection>> clients_;
  std::vector<std::shared_ptr<ProducerConnection>> waiting_;
  std::uint64_t intake_bytes_ = 0;
  std::uint64_t held_bytes_ = 0;
  std::size_t unanswered_ = 0;
  bool stopping_ = false;
  std::thread thread_;
};

ProducerListener::ProducerListener(UnixListener socket, const LimitsConfig& limits, ConnectionNames names,
                                   Metrics& metrics, Submit submit)
    : impl_(std::make_unique<Impl>(*this, std::move(socket), limits, std::move(names), metrics,
                                   std::move(submit))) {
  impl_->Start();
}

ProducerListener::~ProducerListener() = default;

void ProducerListener::Configure(const LimitsConfig& limits, ConnectionNames names) {
  impl_->Configure(limits, std::move(names));
}
void ProducerListener::OnAnswered(std::vector<std::unique_ptr<Submission>> submissions) {
  impl_->OnAnswered(std::move(submissions));
}
void ProducerListener::Stop(Milliseconds patience) {
  impl_->Stop(patience);
}

}  // namespace outboxd
