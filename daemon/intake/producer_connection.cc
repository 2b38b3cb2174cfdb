#include "daemon/intake/producer_connection.h"

#include <sys/socket.h>
#include <unistd.h>

#include <asio/post.hpp>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include "config/log_level.h"
#include "config/owned_fd.h"
#include "config/system_user.h"
#include "core/job.h"
#include "core/job_line.h"
#include "core/refusal.h"
#include "core/result.h"
#include "daemon/base/log.h"
#include "daemon/intake/kept_place.h"
#include "daemon/intake/producer_ledger.h"
#include "daemon/intake/producer_submission.h"
#include "daemon/intake/read_size.h"
#include "daemon/intake/reply_queue.h"

namespace outboxd {
namespace {

// Of memory for a single producer's jobs waiting for their commit.
constexpr std::uint64_t kAheadBytes = 1 << 20;

ReplyQueue::Ref RefOf(bool has_ref, const std::string& ref) {
  return has_ref ? ReplyQueue::Ref(ref) : std::nullopt;
}

}  // namespace

ProducerConnection::ProducerConnection(ProducerShared& shared, asio::local::stream_protocol::socket socket)
    : shared_(shared),
      socket_(std::move(socket)),
      unread_timer_(socket_.get_executor()),
      replies_(shared.metrics) {}

ProducerConnection::ProducerConnection(ProducerShared& shared, asio::local::stream_protocol::socket socket,
                                       KeptPlace place, LeftBehind left)
    : shared_(shared),
      socket_(std::move(socket)),
      unread_timer_(socket_.get_executor()),
      place_(place),
      replies_(shared.metrics, std::move(left.replies)) {
  lines_.Keep(left.unread);
}

void ProducerConnection::Start() {
  std::error_code error;
  socket_.non_blocking(true, error);
  uid_ = PeerUser(socket_.native_handle());
  if (!IsAllowed(uid_, shared_.users))
    return TurnAway(Refusal::kForbidden, "user " + (uid_ ? std::to_string(*uid_) : "unknown") +
                                             " may not produce here (listen.producer.users)");
  if (shared_.producers.Admit(this, uid_)) {
    if (!place_.exists()) place_ = KeptPlace(shared_.kept, socket_.native_handle());
    return Flush();
  }
  TurnAway(Refusal::kBusy, "too many producers are connected, or too many of this user (limits.clients)");
}

void ProducerConnection::TurnAway(Refusal refusal, std::string_view message) {
  replies_.AddRefusal(refusal, {}, message, std::nullopt);
  phase_ = Phase::kCutOff;
  Flush();
}

void ProducerConnection::Read() {
  if (read_is_due_ || !HasMore()) return;
  if (unanswered_bytes_ >= kAheadBytes || replies_.bytes() >= shared_.limits.unread_reply_bytes) return;
  read_is_due_ = true;
  auto read = [self = shared_from_this()](const std::error_code& error) {
    if (!error && self->HasMore() && self->shared_.intake.IsFull())
      return self->shared_.intake.WaitForRoom(self->uid_, self);
    self->read_is_due_ = false;
    if (!error && self->HasMore()) self->OnReadable();
  };
  if (lines_.HasKept()) {
    asio::post(socket_.get_executor(), [read = std::move(read)] { read({}); });  // others have their turn
  } else {
    socket_.async_wait(asio::socket_base::wait_read, std::move(read));
  }
}

void ProducerConnection::TakeTurn() {
  read_is_due_ = false;
  if (HasMore()) OnReadable();
}

void ProducerConnection::OnReadable() {
  if (lines_.HasKept()) {
    const std::string kept = lines_.TakeKept();
    return TakeBytes(kept);
  }
  place_.SetOwes(true);
  char* const buffer = shared_.read_buffer.data();
  const ssize_t got = recv(socket_.native_handle(), buffer, read_size_.bytes(), 0);
  if (got > 0) return TakeBytes({buffer, static_cast<std::size_t>(got)});
  if (got == 0) return TakeLast();
  if (errno != EAGAIN && errno != EINTR) return Close();
  Flush();
  Read();
}

void ProducerConnection::TakeBytes(std::string_view bytes) {
  auto submission = shared_.intake.NewSubmission(shared_from_this());
  const std::size_t read_bytes = bytes.size();
  const std::size_t lines = TakeLines(bytes, *submission);
  submission->bytes = read_bytes - bytes.size();
  read_size_.Follow(read_bytes, submission->bytes, lines);
  Hand(std::move(submission));
}

// Leaves in `bytes` what waits in lines_. Returns how many lines were taken.
std::size_t ProducerConnection::TakeLines(std::string_view& bytes, ProducerSubmission& submission) {
  const std::size_t line_bytes_max = shared_.limits.line_bytes;
  std::string line;
  for (std::size_t lines = 0; lines < kLinesAtOnce; ++lines) {
    switch (lines_.Take(bytes, line_bytes_max, line)) {
      case LineBuffer::Next::kLine:
        shared_.reader.Read(std::move(line), uid_, submission);
        break;
      case LineBuffer::Next::kNeedsMore:
        return lines;
      case LineBuffer::Next::kTooLong:
        phase_ = Phase::kCutOff;
        bytes = {};
        JobReader::Refuse(
            {Refusal::kTooLarge,
             {},
             "a line has at most " + std::to_string(line_bytes_max) + " bytes; the connection is closed",
             {},
             false},
            submission);
        return lines + 1;
    }
  }
  lines_.Keep(bytes);
  return kLinesAtOnce;
}

// The producer sends no more. A last line without its newline is whole if it is valid.
void ProducerConnection::TakeLast() {
  phase_ = Phase::kEnding;
  auto submission = shared_.intake.NewSubmission(shared_from_this());
  std::string last = lines_.TakeUnfinished();
  if (!last.empty()) shared_.reader.Read(std::move(last), uid_, *submission);
  Hand(std::move(submission));
}

// Also a submission without jobs goes by way of the clerk while others of this producer are there: replies
// keep their order.
void ProducerConnection::Hand(std::unique_ptr<ProducerSubmission> submission) {
  submission->bytes += submission->jobs.size() * sizeof(QueuedJob) +
                       submission->replies.size() * sizeof(LineReply) +
                       (submission->replies.size() - submission->jobs.size()) * sizeof(LineError);
  unanswered_bytes_ += submission->bytes;
  const bool is_alone = unanswered_++ == 0;
  if (submission->jobs.empty() && is_alone) {
    Answer(*submission);
    Flush();
  } else {
    shared_.intake.Hand(std::move(submission));
  }
  CountHeld();
  Read();
}

void ProducerConnection::Answer(const ProducerSubmission& submission) {
  --unanswered_;
  unanswered_bytes_ -= submission.bytes;
  std::size_t next = 0;
  for (const LineReply& reply : submission.replies) {
    if (reply.refusal) {
      const LineError& error = *reply.refusal;
      replies_.AddRefusal(error.code, error.field, error.message, RefOf(error.has_ref, error.ref));
    } else if (next < submission.ids.size()) {
      replies_.AddOk(submission.ids[next++], RefOf(reply.has_ref, reply.ref));
    } else {
      const Error& error = *submission.refused;
      replies_.AddRefusal(RefusalOf(error.kind), {}, error.message, RefOf(reply.has_ref, reply.ref));
    }
  }
}

void ProducerConnection::Flush() {
  SendReplies();
  CountHeld();
}

void ProducerConnection::SendReplies() {
  if (phase_ == Phase::kClosed || write_is_due_) return;
  const std::size_t before_bytes = replies_.bytes();
  const ReplyQueue::Sent sent = replies_.Send(socket_.native_handle());
  if (replies_.bytes() < before_bytes) StopWatching();
  switch (sent) {
    case ReplyQueue::Sent::kBroken:
      return Close();
    case ReplyQueue::Sent::kFull:
      if (phase_ == Phase::kLeaving && unanswered_ == 0) return HandOver();
      write_is_due_ = true;
      WatchUnread();
      return socket_.async_wait(asio::socket_base::wait_write,
                                [self = shared_from_this()](const std::error_code& error) {
                                  self->write_is_due_ = false;
                                  if (!error) self->Flush();
                                });
    case ReplyQueue::Sent::kAll:
      break;
  }
  if (unanswered_ == 0 && phase_ == Phase::kLeaving) return HandOver();
  if (unanswered_ == 0 && !HasMore()) return Close();
  if (unanswered_ == 0 && lines_.HeldBytes() == 0) place_.SetOwes(false);
  Read();
}

void ProducerConnection::CountHeld() {
  const std::size_t now = phase_ == Phase::kClosed ? 0 : lines_.HeldBytes() + replies_.bytes();
  shared_.producers.HeldChanged(this, std::exchange(held_bytes_, now), now);
}

void ProducerConnection::Drop() {
  Log(LogLevel::kWarn, "producer dropped: it holds the most of limits.producer_bytes",
      {{"unfinished_bytes", std::to_string(lines_.HeldBytes())},
       {"unread_bytes", std::to_string(replies_.bytes())}});
  if (replies_.empty() && unanswered_ == 0) {
    replies_.AddRefusal(Refusal::kBusy, {}, "the producers' memory is used up (limits.producer_bytes)",
                        std::nullopt);
    static_cast<void>(replies_.Send(socket_.native_handle()));  // it is closed either way
  }
  Close();
}

// A producer whose replies find no room for this long is gone or broken.
void ProducerConnection::WatchUnread() {
  if (std::exchange(unread_is_timed_, true)) return;
  unread_timer_.expires_after(shared_.limits.unread_reply_timeout);
  unread_timer_.async_wait([self = shared_from_this()](const std::error_code& cancelled) {
    if (cancelled || !self->unread_is_timed_) return;
    Log(LogLevel::kWarn, "producer dropped: it does not read its replies",
        {{"unread_bytes", std::to_string(self->replies_.bytes())}});
    self->Close();
  });
}

void ProducerConnection::StopWatching() {
  unread_is_timed_ = false;
  unread_timer_.cancel();
}

void ProducerConnection::CloseWhenAnswered() {
  if (phase_ == Phase::kReading) phase_ = Phase::kEnding;
  std::error_code ignored;
  socket_.cancel(ignored);
  write_is_due_ = false;
  Flush();
}

void ProducerConnection::LeaveWhenAnswered() {
  const bool has_ended = phase_ == Phase::kEnding && replies_.empty() && unanswered_ == 0;
  if (!place_.exists() || phase_ == Phase::kCutOff || has_ended) return CloseWhenAnswered();
  phase_ = Phase::kLeaving;
  std::error_code ignored;
  socket_.cancel(ignored);
  write_is_due_ = false;
  Flush();
}

void ProducerConnection::HandOver() {
  phase_ = Phase::kClosed;
  unread_timer_.cancel();
  std::error_code ignored;
  OwnedFd connection(socket_.release(ignored));
  place_.HandOver(std::move(connection), {lines_.TakeAll(), replies_.TakeUnsent()});
  CountHeld();
  shared_.producers.Remove(this);
}

void ProducerConnection::Close() {
  if (std::exchange(phase_, Phase::kClosed) == Phase::kClosed) return;
  unread_timer_.cancel();
  std::error_code ignored;
  if (place_.exists()) socket_.shutdown(asio::socket_base::shutdown_both, ignored);
  place_.End();
  socket_.close(ignored);
  CountHeld();
  shared_.producers.Remove(this);
}

}  // namespace outboxd
