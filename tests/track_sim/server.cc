#include "tests/track_sim/server.h"

#include <sys/socket.h>

#include <asio/steady_timer.hpp>
#include <asio/write.hpp>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <deque>
#include <memory>

namespace outboxd::sim {
namespace {

constexpr std::size_t kReadBytes = 64 * 1024;
constexpr std::size_t kPipelined =
    1024;  // unanswered requests of one connection; then it is no longer read from

// The other side is gone though its end was not read yet: its requests do not count as unanswered.
bool PeerIsGone(int socket) {
  char byte = 0;
  const ssize_t size = recv(socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return size == 0 || (size < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

std::int64_t NowMs() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

// Size: what an HTTP connection with pipelined requests has to remember: input, answers in order, output.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(asio::ip::tcp::socket socket, TrackSim& sim, InFlight& in_flight)
      : socket_(std::move(socket)), sim_(sim), in_flight_(in_flight) {
    asio::error_code ignored;
    socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
    socket_.non_blocking(true, ignored);
  }
  ~Connection() { Drop(); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void Read();

 private:
  // One request's place in the order of answers.
  struct Slot {
    Reaction reaction;
    bool is_due = false;
  };

  void OnReceived(std::size_t size);
  void Take();
  void Add(Reaction reaction);
  void Refuse(const ReadOutcome& outcome);
  void Wait(std::uint64_t number, std::chrono::milliseconds delay);
  void Flush();
  void Write();
  void Finish();
  void Drop();

  asio::ip::tcp::socket socket_;
  TrackSim& sim_;
  InFlight& in_flight_;
  std::string input_;
  std::size_t filled_ = 0;  // bytes of input_ that were received
  std::string output_;      // still to be sent
  std::string sending_;     // being sent: untouched while writing_
  std::deque<Slot> slots_;
  std::uint64_t first_slot_ = 0;  // number of slots_.front()
  SimRequest request_;
  Ending ending_ = Ending::kKeep;  // once not kKeep: what to do when output_ is written
  bool writing_ = false;
  bool reading_ = false;
  bool continued_ = false;  // "100 Continue" was sent for the request being received
  bool counted_ = false;
  bool draining_ = false;  // everything is sent: what still comes is thrown away, for a close with unread
                           // bytes would be a reset
};

void Connection::Read() {
  const bool wants_more =
      draining_ || (ending_ == Ending::kKeep && slots_.size() < kPipelined) || ending_ == Ending::kNever;
  if (reading_ || !socket_.is_open() || !wants_more) return;
  if (input_.size() - filled_ < kReadBytes / 4) input_.resize(std::max(kReadBytes, input_.size() * 2));
  reading_ = true;
  socket_.async_read_some(asio::buffer(input_.data() + filled_, input_.size() - filled_),
                          [self = shared_from_this()](const asio::error_code& error, std::size_t size) {
                            self->reading_ = false;
                            if (error) return self->Drop();
                            self->OnReceived(size);
                          });
}

void Connection::OnReceived(std::size_t size) {
  if (draining_) return Read();
  filled_ += size;
  Take();
}

// Not to be called while a read is under way: it moves the bytes that the read is adding to.
void Connection::Take() {
  std::size_t taken = 0;
  while (socket_.is_open() && ending_ == Ending::kKeep && slots_.size() < kPipelined) {
    const ReadOutcome outcome =
        ReadRequest(std::string_view(input_).substr(taken, filled_ - taken), request_);
    if (outcome.state == ReadState::kBad) {
      Refuse(outcome);
      taken = filled_;
      break;
    }
    if (outcome.state == ReadState::kNeedMore) {
      if (outcome.expects_continue && !continued_ && slots_.empty()) {
        continued_ = true;
        output_.append("HTTP/1.1 100 Continue\r\n\r\n");
      }
      break;
    }
    taken += outcome.consumed;
    continued_ = false;
    Add(sim_.React(request_, NowMs()));
  }
  std::memmove(input_.data(), input_.data() + taken, filled_ - taken);
  filled_ -= taken;
  Flush();
  Read();
}

void Connection::Add(Reaction reaction) {
  const std::chrono::milliseconds delay = reaction.delay;
  const Ending ending = reaction.ending;
  if (!reaction.is_control) {
    if (!counted_) ++sim_.traffic().connections;
    counted_ = true;
    in_flight_.Enter(reaction.customers, socket_.native_handle());
  }
  slots_.push_back({std::move(reaction), delay.count() == 0 && ending != Ending::kNever});
  if (delay.count() > 0 && ending != Ending::kNever) Wait(first_slot_ + slots_.size() - 1, delay);
}

void Connection::Refuse(const ReadOutcome& outcome) {
  Reaction reaction;
  reaction.bytes = MakeAnswer(
      outcome.status, ProblemBody({outcome.status, "invalid", "", outcome.error}, false), {}, true, false);
  reaction.ending = Ending::kClose;
  reaction.is_control = true;
  Add(std::move(reaction));
}

void Connection::Wait(std::uint64_t number, std::chrono::milliseconds delay) {
  auto timer = std::make_shared<asio::steady_timer>(socket_.get_executor(), delay);
  // Holds the connection: while it is not read from, nothing else does.
  timer->async_wait([self = shared_from_this(), timer, number](const asio::error_code& error) {
    if (error || number < self->first_slot_ || number - self->first_slot_ >= self->slots_.size()) return;
    self->slots_[number - self->first_slot_].is_due = true;
    self->Flush();
    if (!self->reading_) self->Take();
  });
}

void Connection::Flush() {
  while (!slots_.empty() && slots_.front().is_due && ending_ == Ending::kKeep) {
    Slot& slot = slots_.front();
    output_.append(slot.reaction.bytes);
    ending_ = slot.reaction.ending;
    if (!slot.reaction.is_control) in_flight_.Leave(slot.reaction.customers);
    slots_.pop_front();
    ++first_slot_;
  }
  if (!writing_) Write();
}

void Connection::Write() {
  if (!socket_.is_open()) return;
  asio::error_code error;
  std::size_t size = 0;
  if (!output_.empty()) size = socket_.write_some(asio::buffer(output_), error);
  if (error && error != asio::error::would_block) return Drop();
  output_.erase(0, size);
  if (output_.empty()) return Finish();
  writing_ = true;
  sending_.swap(output_);
  output_.clear();
  asio::async_write(socket_, asio::buffer(sending_),
                    [self = shared_from_this()](const asio::error_code& failure, std::size_t) {
                      self->writing_ = false;
                      if (failure) return self->Drop();
                      self->Flush();
                      if (!self->reading_) self->Take();
                    });
}

void Connection::Finish() {
  asio::error_code ignored;
  switch (ending_) {
    case Ending::kKeep:
    case Ending::kNever:
      return;
    case Ending::kClose:
      if (draining_) return;
      draining_ = true;
      filled_ = 0;
      socket_.shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
      return Read();
    case Ending::kReset:
      socket_.set_option(asio::socket_base::linger(true, 0), ignored);
      return Drop();
  }
}

void Connection::Drop() {
  for (const Slot& slot : slots_) {
    if (!slot.reaction.is_control) in_flight_.Leave(slot.reaction.customers);
  }
  first_slot_ += slots_.size();
  slots_.clear();
  asio::error_code ignored;
  socket_.close(ignored);
}

}  // namespace

void InFlight::Enter(const std::vector<std::string>& customers, int socket) {
  ++traffic_.concurrent;
  traffic_.max_concurrent = std::max(traffic_.max_concurrent, traffic_.concurrent);
  bool overlaps = false;
  for (const std::string& customer : customers) {
    Entry& entry = customers_[customer];
    if (entry.count > 0 && (entry.socket == socket || !PeerIsGone(entry.socket))) overlaps = true;
    ++entry.count;
    entry.socket = socket;
  }
  if (overlaps) ++traffic_.overlaps;
}

void InFlight::Leave(const std::vector<std::string>& customers) {
  --traffic_.concurrent;
  for (const std::string& customer : customers) {
    const auto found = customers_.find(customer);
    if (found != customers_.end() && --found->second.count == 0) customers_.erase(found);
  }
}

Server::Server(asio::io_context& context, const asio::ip::tcp::endpoint& endpoint, TrackSim& sim,
               InFlight& in_flight)
    : acceptor_(context, endpoint, true), sim_(sim), in_flight_(in_flight) {
  acceptor_.listen(4096);
  Accept();
}

void Server::Accept() {
  acceptor_.async_accept([this](const asio::error_code& error, asio::ip::tcp::socket socket) {
    if (error == asio::error::operation_aborted) return;
    if (!error) std::make_shared<Connection>(std::move(socket), sim_, in_flight_)->Read();
    Accept();
  });
}

}  // namespace outboxd::sim
