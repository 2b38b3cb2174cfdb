#include "daemon/intake/producer_connection.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "config/system_user.h"
#include "core/json.h"
#include "daemon/base/log.h"
#include "daemon/base/stopping.h"

namespace outboxd {
namespace {

constexpr std::size_t kReadBytes = 256UL * 1024;
constexpr std::size_t kReadLines = 4096;  // of one read: a line of one byte asks for a reply of a hundred
constexpr std::size_t kReplyBytesKept = 16UL * 1024;  // of memory for replies, once they are sent
constexpr std::uint64_t kAheadBytes =
    1 << 20;  // of memory for a single producer's jobs waiting for their commit

// Up to the end of the last line that is read at once.
std::size_t ReadLength(std::string_view bytes) {
  std::size_t end = 0;
  for (std::size_t lines = 0; lines < kReadLines; ++lines) {
    const std::size_t newline = bytes.find('\n', end);
    if (newline == std::string_view::npos) return bytes.size();
    end = newline + 1;
  }
  return end;
}

std::string_view CodeOf(LineErrorCode code) {
  return code == LineErrorCode::kInvalidJson ? "invalid_json" : "invalid_job";
}

std::string_view CodeOf(ErrorKind kind) {
  if (kind == ErrorKind::kBusy) return "busy";
  if (kind == ErrorKind::kFull) return "spool_full";
  return "internal";
}

void AppendRef(const LineReply& reply, std::string& out) {
  if (!reply.has_ref) return;
  out += ",\"ref\":";
  out += JsonWriter().String(reply.ref).Text();
}

void AppendOk(const Ulid& id, const LineReply& reply, std::string& out) {
  out += R"({"ok":true,"job":")";
  const auto text = id.ToChars();
  out.append(text.data(), text.size());
  out += '"';
  AppendRef(reply, out);
  out += "}\n";
}

void AppendRefusal(std::string_view code, std::string_view field, std::string_view message,
                   const LineReply& reply, std::string& out) {
  JsonWriter error;
  error.Object().Key("code").String(code);
  if (!field.empty()) error.Key("field").String(field);
  error.Key("message").String(message).EndObject();
  out += R"({"ok":false,"error":)";
  out += error.Text();
  AppendRef(reply, out);
  out += "}\n";
}

}  // namespace

ProducerConnection::ProducerConnection(Host& host, asio::local::stream_protocol::socket socket)
    : host_(host), socket_(std::move(socket)), unread_timer_(host.io()) {}

void ProducerConnection::Start(bool one_too_many) {
  std::error_code error;
  socket_.non_blocking(true, error);
  uid_ = PeerUser(socket_.native_handle());
  if (one_too_many) return TurnAway("busy", "too many producers are connected (limits.clients)");
  if (IsAllowed(uid_, host_.users())) return Read();
  TurnAway("forbidden", "user " + (uid_ ? std::to_string(*uid_) : "unknown") +
                            " may not produce here (listen.producer.users)");
}

void ProducerConnection::TurnAway(std::string_view code, const std::string& message) {
  host_.Refused(code);
  AppendRefusal(code, {}, message, {}, out_);
  ending_ = true;
  Flush();
}

// Reads again when the producer is neither ahead of the disk nor behind with its replies.
void ProducerConnection::Read() {
  if (reading_ || ending_ || closed_) return;
  if (unanswered_bytes_ >= kAheadBytes || out_.size() >= host_.limits().unread_reply_bytes) return;
  if (host_.IntakeIsFull()) return host_.WakeWhenIntakeFalls(shared_from_this());
  reading_ = true;
  socket_.async_wait(asio::socket_base::wait_read, [self = shared_from_this()](const std::error_code& error) {
    self->reading_ = false;
    if (error || self->closed_) return;
    self->OnReadable();
  });
}

void ProducerConnection::OnReadable() {
  if (ending_) return;
  std::string& buffer = host_.read_buffer();
  buffer.resize(kReadBytes);
  ssize_t got = recv(socket_.native_handle(), buffer.data(), buffer.size(), MSG_PEEK);
  if (got > 0) {
    const std::size_t length = ReadLength(std::string_view(buffer).substr(0, static_cast<std::size_t>(got)));
    got = recv(socket_.native_handle(), buffer.data(), length, 0);
  }
  if (got < 0) {
    if (errno == EAGAIN || errno == EINTR) return Read();
    return Close();
  }
  auto submission = std::make_unique<ProducerSubmission>(host_.origin());
  submission->client = shared_from_this();
  submission->bytes = static_cast<std::uint64_t>(got);
  if (got == 0) {
    // The producer sends no more. A last line without its newline is whole if it is valid.
    ending_ = true;
    if (!partial_.empty()) TakeLine(std::exchange(partial_, {}), *submission);
  } else {
    TakeLines(std::string_view(buffer).substr(0, static_cast<std::size_t>(got)), *submission);
  }
  submission->bytes +=
      submission->jobs.size() * sizeof(QueuedJob) + submission->replies.size() * sizeof(LineReply);
  Hand(std::move(submission));
  CountHeld();
  Read();
}

void ProducerConnection::TakeLines(std::string_view bytes, ProducerSubmission& submission) {
  const std::size_t line_bytes_max = host_.limits().line_bytes;
  while (!bytes.empty()) {
    const std::size_t newline = bytes.find('\n');
    const std::size_t length = std::min(newline, bytes.size());
    if (partial_.size() + length > line_bytes_max) {
      ending_ = true;
      partial_ = {};
      return RefuseLine(
          {"too_large",
           {},
           "a line has at most " + std::to_string(line_bytes_max) + " bytes; the connection is closed",
           {},
           false},
          submission);
    }
    if (newline == std::string_view::npos) {
      partial_ += bytes;
      return;
    }
    if (partial_.empty()) {
      TakeLine(std::string(bytes.substr(0, length)), submission);
    } else {
      partial_ += bytes.substr(0, length);
      TakeLine(std::exchange(partial_, {}), submission);
    }
    bytes.remove_prefix(length + 1);
  }
}

void ProducerConnection::TakeLine(std::string line, ProducerSubmission& submission) {
  auto job = ParseJobLine(std::move(line));
  if (!job) {
    LineError& error = job.error();
    return RefuseLine({std::string(CodeOf(error.code)), std::move(error.field), std::move(error.message),
                       std::move(error.ref), error.has_ref},
                      submission);
  }
  if (!host_.Knows(job->connection)) {
    return RefuseLine({"unknown_connection", "connection",
                       "no connection \"" + job->connection + "\" is configured", job->ref, job->has_ref},
                      submission);
  }
  if (host_.IsStopping())
    return RefuseLine({"busy", {}, StoppingError().message, job->ref, job->has_ref}, submission);
  submission.replies.push_back({{}, {}, {}, job->ref, job->has_ref});
  submission.jobs.push_back(std::make_unique<QueuedJob>());
  submission.jobs.back()->job = std::move(*job);
  submission.jobs.back()->uid = uid_;
}

void ProducerConnection::RefuseLine(LineReply reply, ProducerSubmission& submission) {
  host_.Refused(reply.code);
  submission.replies.push_back(std::move(reply));
}

// Also a submission without jobs goes by way of the clerk while others of this client are there: replies keep
// their order.
void ProducerConnection::Hand(std::unique_ptr<ProducerSubmission> submission) {
  if (submission->jobs.empty() && unanswered_ == 0) {
    ++unanswered_;
    unanswered_bytes_ += submission->bytes;
    Answer(*submission);
    return Flush();
  }
  ++unanswered_;
  unanswered_bytes_ += submission->bytes;
  host_.Submit(std::move(submission));
}

void ProducerConnection::Answer(ProducerSubmission& submission) {
  --unanswered_;
  unanswered_bytes_ -= submission.bytes;
  std::size_t next = 0;
  for (const LineReply& reply : submission.replies) {
    if (!reply.code.empty()) {
      AppendRefusal(reply.code, reply.field, reply.message, reply, out_);
    } else if (next < submission.ids.size()) {
      AppendOk(submission.ids[next++], reply, out_);
    } else {
      const std::string_view code = CodeOf(submission.refused->kind);
      host_.Refused(code);
      AppendRefusal(code, {}, submission.refused->message, reply, out_);
    }
  }
}

void ProducerConnection::Flush() {
  SendReplies();
  CountHeld();
}

void ProducerConnection::SendReplies() {
  if (closed_ || writing_) return;
  while (!out_.empty()) {
    const ssize_t sent = send(socket_.native_handle(), out_.data(), out_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN) return Close();
      writing_ = true;
      WatchUnread();
      socket_.async_wait(asio::socket_base::wait_write,
                         [self = shared_from_this()](const std::error_code& error) {
                           self->writing_ = false;
                           if (!error) self->Flush();
                         });
      return;
    }
    out_.erase(0, static_cast<std::size_t>(sent));
    watched_ = false;
    unread_timer_.cancel();
  }
  if (out_.capacity() > kReplyBytesKept) out_ = std::string();
  if (ending_ && unanswered_ == 0) return Close();
  Read();
}

void ProducerConnection::CountHeld() {
  const std::size_t now = closed_ ? 0 : partial_.size() + out_.size();
  host_.HeldChanged(std::exchange(held_bytes_, now), now);
}

void ProducerConnection::Drop() {
  Log(LogLevel::kWarn, "producer dropped: it holds the most of limits.producer_bytes",
      {{"unfinished_bytes", std::to_string(partial_.size())}, {"unread_bytes", std::to_string(out_.size())}});
  if (out_.empty() && unanswered_ == 0) {
    std::string reply;
    AppendRefusal("busy", {}, "the producers' memory is used up (limits.producer_bytes)", {}, reply);
    host_.Refused("busy");
    send(socket_.native_handle(), reply.data(), reply.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  }
  Close();
}

// A producer whose replies find no room for this long is gone or broken.
void ProducerConnection::WatchUnread() {
  if (watched_) return;
  watched_ = true;
  unread_timer_.expires_after(host_.limits().unread_reply_timeout);
  unread_timer_.async_wait([self = shared_from_this()](const std::error_code& cancelled) {
    if (cancelled || !self->watched_) return;
    Log(LogLevel::kWarn, "producer dropped: it does not read its replies",
        {{"unread_bytes", std::to_string(self->out_.size())}});
    self->Close();
  });
}

void ProducerConnection::CloseWhenAnswered() {
  ending_ = true;
  std::error_code ignored;
  socket_.cancel(ignored);
  writing_ = false;
  Flush();
}

void ProducerConnection::Close() {
  if (std::exchange(closed_, true)) return;
  ending_ = true;
  unread_timer_.cancel();
  std::error_code ignored;
  socket_.close(ignored);
  CountHeld();
  host_.Gone(this);
}

}  // namespace outboxd
