// daemon/intake/producer_connection.h — one producer's connection: bytes → lines → jobs, and its replies in
// order. Lives on the listener's thread.
#pragma once

#include <asio/io_context.hpp>
#include <asio/local/stream_protocol.hpp>
#include <asio/steady_timer.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "core/job_line.h"
#include "daemon/clerk/submission.h"

namespace outboxd {

class ProducerConnection;

// The reply to one line: refused before it was submitted, or the fate of the submission's next job.
struct LineReply {
  std::string code;  // empty: the line is a job of the submission
  std::string field;
  std::string message;
  std::string ref;
  bool has_ref = false;
};

struct ProducerSubmission final : Submission {
  using Submission::Submission;
  std::shared_ptr<ProducerConnection> client;
  std::vector<LineReply> replies;  // one a line
  std::uint64_t bytes = 0;         // of memory, about: what was read, and what became of it
};

class ProducerConnection : public std::enable_shared_from_this<ProducerConnection> {
 public:
  class Host {
   public:
    virtual ~Host() = default;
    virtual const LimitsConfig& limits() const = 0;
    virtual const std::vector<std::uint32_t>& users() const = 0;  // who may produce; empty: everyone
    virtual bool Knows(std::string_view connection) const = 0;
    virtual bool IsStopping() const = 0;
    virtual SubmissionOrigin& origin() = 0;
    virtual asio::io_context& io() = 0;
    virtual std::string& read_buffer() = 0;  // shared by all clients between reads
    virtual void Submit(std::unique_ptr<ProducerSubmission> submission) = 0;
    virtual bool IntakeIsFull() const = 0;
    virtual void WakeWhenIntakeFalls(std::shared_ptr<ProducerConnection> client) = 0;
    // What a client holds changed by so much; the one that holds most may be dropped for it.
    virtual void HeldChanged(std::size_t before_bytes, std::size_t bytes) = 0;
    virtual void Refused(std::string_view code) = 0;
    virtual void Gone(ProducerConnection* client) = 0;
  };

  ProducerConnection(Host& host, asio::local::stream_protocol::socket socket);

  // `one_too_many`: answers busy and closes. A user who may not produce: forbidden.
  void Start(bool one_too_many);
  void Read();
  // Appends the replies of an answered submission; Flush() sends them.
  void Answer(ProducerSubmission& submission);
  void Flush();
  // No further line is read; the connection closes once everything read is answered and sent.
  void CloseWhenAnswered();
  // Bytes of its unfinished line and of its unread replies.
  std::size_t held_bytes() const { return held_bytes_; }
  // Closes at once; told busy if no reply is owed that would have to come before.
  void Drop();

 private:
  void TurnAway(std::string_view code, const std::string& message);
  void OnReadable();
  void TakeLines(std::string_view bytes, ProducerSubmission& submission);
  void TakeLine(std::string line, ProducerSubmission& submission);
  void RefuseLine(LineReply reply, ProducerSubmission& submission);
  void Hand(std::unique_ptr<ProducerSubmission> submission);
  void SendReplies();
  void CountHeld();
  void WatchUnread();
  void Close();

  Host& host_;
  asio::local::stream_protocol::socket socket_;
  asio::steady_timer unread_timer_;
  std::optional<std::uint32_t> uid_;
  std::string partial_;  // the beginning of a line whose end has not come
  std::string out_;      // replies not yet taken by the kernel
  std::size_t unanswered_ = 0;
  std::uint64_t unanswered_bytes_ = 0;
  std::size_t held_bytes_ = 0;
  bool reading_ = false;
  bool ending_ = false;  // nothing more is read
  bool writing_ = false;
  bool watched_ = false;
  bool closed_ = false;
};

}  // namespace outboxd
