#include "daemon/intake/producer_listener.h"

#include <pthread.h>
#include <unistd.h>

#include <asio/io_context.hpp>
#include <asio/local/stream_protocol.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <cerrno>
#include <chrono>
#include <memory>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "config/config.h"
#include "config/log_level.h"
#include "core/result.h"
#include "core/time.h"
#include "daemon/base/log.h"
#include "daemon/base/metrics.h"
#include "daemon/base/unix_socket.h"
#include "daemon/clerk/submission.h"
#include "daemon/intake/job_reader.h"
#include "daemon/intake/kept_connections.h"
#include "daemon/intake/kept_place.h"
#include "daemon/intake/producer_connection.h"
#include "daemon/intake/producer_intake.h"
#include "daemon/intake/producer_submission.h"
#include "daemon/intake/producers.h"

namespace outboxd {

using Protocol = asio::local::stream_protocol;

namespace {

Failure CannotServe(const std::error_code& why) {
  return Fail(ErrorKind::kIo, "the producer socket cannot be served: " + why.message());
}

}  // namespace

class ProducerListener::Impl {
 public:
  Impl(ProducerListener& origin, UnixListener socket, const LimitsConfig& limits, LongestAges ages,
       Metrics& metrics, Submit submit, KeptConnections* kept)
      : socket_(std::move(socket)),
        limits_(limits),
        reader_(std::move(ages)),
        intake_(origin, limits_, std::move(submit),
                [this] { asio::post(io_, [this] { intake_.SubmitHeld(); }); }),
        producers_(limits_, [this] { FinishIfDrained(); }),
        shared_{.limits = limits_,
                .users = socket_.users(),
                .reader = reader_,
                .intake = intake_,
                .producers = producers_,
                .metrics = metrics,
                .kept = kept},
        acceptor_(io_),
        retry_(io_),
        drained_(io_) {}

  ~Impl() { Stop(Milliseconds(0)); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  // When the origin knows this object: an answer may come back at once.
  Result<void> Start() {
    const int descriptor = dup(socket_.descriptor());
    if (descriptor < 0) return CannotServe(std::error_code(errno, std::generic_category()));
    std::error_code error;
    acceptor_.assign(Protocol(), descriptor, error);
    if (error) {
      close(descriptor);
      return CannotServe(error);
    }
    if (shared_.kept != nullptr) {
      asio::post(io_, [this, kept = shared_.kept->TakeUp()]() mutable {
        for (KeptConnections::Kept& one : kept) TakeUp(std::move(one));
      });
    }
    Accept();
    thread_ = std::thread([this] {
      pthread_setname_np(pthread_self(), "outboxd-intake");
      io_.run();
    });
    return {};
  }

  void Configure(const LimitsConfig& limits, LongestAges ages) {
    asio::post(io_, [this, limits, ages = std::move(ages)]() mutable {
      limits_ = limits;
      reader_.Configure(std::move(ages));
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

 private:
  void Accept() {
    acceptor_.async_accept([this](const std::error_code& error, Protocol::socket socket) {
      if (error && stopping_) return;
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
      const auto connection = std::make_shared<ProducerConnection>(shared_, std::move(socket));
      Welcome(connection);
      if (stopping_) return LeaveOrClose(*connection);
      Accept();
    });
  }

  void Welcome(const std::shared_ptr<ProducerConnection>& connection) {
    producers_.Add(connection);
    connection->Start();
  }

  void TakeUp(KeptConnections::Kept kept) {
    Protocol::socket socket(io_);
    std::error_code error;
    socket.assign(Protocol(), kept.connection.get(), error);
    if (error) return shared_.kept->End(kept.place);
    static_cast<void>(kept.connection.Release());
    const KeptPlace place(*shared_.kept, kept.place, !kept.left.empty());
    Welcome(std::make_shared<ProducerConnection>(shared_, std::move(socket), place, std::move(kept.left)));
  }

  void LeaveOrClose(ProducerConnection& connection) const {
    if (shared_.kept != nullptr) return connection.LeaveWhenAnswered();
    connection.CloseWhenAnswered();
  }

  void Answer(const std::vector<std::unique_ptr<Submission>>& submissions) {
    for (const std::unique_ptr<Submission>& submission : submissions) {
      const auto& own = static_cast<const ProducerSubmission&>(*submission);
      intake_.Answered(own);
      own.connection->Answer(own);
    }
    for (const std::unique_ptr<Submission>& submission : submissions)
      static_cast<const ProducerSubmission&>(*submission).connection->Flush();
    while (!intake_.IsFull()) {
      const std::shared_ptr<ProducerConnection> next = intake_.TakeNext();
      if (!next) break;
      next->TakeTurn();
    }
    FinishIfDrained();
  }

  void Drain(Milliseconds patience) {
    stopping_ = true;
    reader_.StopAccepting();
    std::error_code ignored;
    acceptor_.close(ignored);
    socket_.Close();
    retry_.cancel();
    while (const std::shared_ptr<ProducerConnection> waiting = intake_.TakeNext()) waiting->LeaveTurn();
    drained_.expires_after(patience);
    drained_.async_wait([this](const std::error_code&) { io_.stop(); });
    for (const std::shared_ptr<ProducerConnection>& connection : producers_.All()) LeaveOrClose(*connection);
    FinishIfDrained();
  }

  void FinishIfDrained() {
    if (stopping_ && producers_.empty() && intake_.IsEmpty()) drained_.cancel();
  }

  asio::io_context io_{1};  // outlives the connections
  UnixListener socket_;
  LimitsConfig limits_;
  JobReader reader_;
  ProducerIntake intake_;
  Producers producers_;
  ProducerShared shared_;
  Protocol::acceptor acceptor_;
  asio::steady_timer retry_;
  asio::steady_timer drained_;
  bool stopping_ = false;
  std::thread thread_;
};

ProducerListener::ProducerListener() = default;
ProducerListener::~ProducerListener() = default;

Result<std::unique_ptr<ProducerListener>> ProducerListener::Open(UnixListener socket,
                                                                 const LimitsConfig& limits, LongestAges ages,
                                                                 Metrics& metrics, Submit submit,
                                                                 KeptConnections* kept) {
  std::unique_ptr<ProducerListener> listener(new ProducerListener);
  try {
    listener->impl_ = std::make_unique<Impl>(*listener, std::move(socket), limits, std::move(ages), metrics,
                                             std::move(submit), kept);
    RETURN_IF_ERROR(listener->impl_->Start());
  } catch (const std::system_error& error) {
    return CannotServe(error.code());
  }
  return listener;
}

void ProducerListener::Configure(const LimitsConfig& limits, LongestAges ages) {
  impl_->Configure(limits, std::move(ages));
}
void ProducerListener::OnAnswered(std::vector<std::unique_ptr<Submission>> submissions) {
  impl_->OnAnswered(std::move(submissions));
}
void ProducerListener::Stop(Milliseconds patience) {
  impl_->Stop(patience);
}

}  // namespace outboxd
