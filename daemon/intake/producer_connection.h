// daemon/intake/producer_connection.h — one producer's connection: bytes → lines → jobs, and its replies in
// order. Lives on the listener's thread.
#pragma once

#include <asio/local/stream_protocol.hpp>
#include <asio/steady_timer.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "core/refusal.h"
#include "daemon/base/metrics.h"
#include "daemon/intake/job_reader.h"
#include "daemon/intake/kept_connections.h"
#include "daemon/intake/kept_place.h"
#include "daemon/intake/line_buffer.h"
#include "daemon/intake/producer_intake.h"
#include "daemon/intake/producer_ledger.h"
#include "daemon/intake/producer_submission.h"
#include "daemon/intake/producers.h"
#include "daemon/intake/read_size.h"
#include "daemon/intake/reply_queue.h"

namespace outboxd {

// What the connections of one listener share.
struct ProducerShared {
  const LimitsConfig& limits;               // may change
  const std::vector<std::uint32_t>& users;  // who may produce; empty: everyone
  const JobReader& reader;
  ProducerIntake& intake;
  Producers& producers;
  Metrics& metrics;
  KeptConnections* kept;  // null: connections end with the process
  std::vector<char> read_buffer = std::vector<char>(ReadSize::kMost);  // in use only while one reads
};

class ProducerConnection : public std::enable_shared_from_this<ProducerConnection> {
 public:
  // `shared` outlives the connection.
  ProducerConnection(ProducerShared& shared, asio::local::stream_protocol::socket socket);
  // One of the last process, with what that left.
  ProducerConnection(ProducerShared& shared, asio::local::stream_protocol::socket socket, KeptPlace place,
                     LeftBehind left);

  // Reads, if this user may produce and there are not too many.
  void Start();
  // Reads on when there is something, what is kept first, unless the producer is ahead of the disk or behind
  // with its replies.
  void Read();
  // There is room for what it waits to have read.
  void TakeTurn();
  // It waits for no room any more.
  void LeaveTurn() { read_is_due_ = false; }
  // Adds the replies of an answered submission; Flush() sends them.
  void Answer(const ProducerSubmission& submission);
  void Flush();
  // Nothing more is received; the connection closes once every line that was is answered and the replies are
  // sent.
  void CloseWhenAnswered();
  // Nothing more is received; once every line that was is answered, the connection and what is left of it go
  // to the next process, if that can have them.
  void LeaveWhenAnswered();
  // Bytes that were read and are not yet a job or a refusal, and of replies that are not yet sent.
  std::size_t HeldBytes() const { return held_bytes_; }
  // Closes at once; told busy if no reply is owed that would have to come before.
  void Drop();

 private:
  enum class Phase : std::uint8_t {
    kReading,
    kEnding,   // the producer sends no more
    kCutOff,   // nothing more is received
    kLeaving,  // the same, for the next process will
    kClosed,
  };

  void TurnAway(Refusal refusal, std::string_view message);
  bool HasMore() const { return phase_ == Phase::kReading || (phase_ == Phase::kEnding && lines_.HasKept()); }
  void OnReadable();
  void TakeBytes(std::string_view bytes);
  std::size_t TakeLines(std::string_view& bytes, ProducerSubmission& submission);
  void TakeLast();
  void Hand(std::unique_ptr<ProducerSubmission> submission);
  void SendReplies();
  void CountHeld();
  void WatchUnread();
  void StopWatching();
  void HandOver();
  void Close();

  ProducerShared& shared_;
  asio::local::stream_protocol::socket socket_;
  asio::steady_timer unread_timer_;
  KeptPlace place_;
  std::optional<std::uint32_t> uid_;
  ReadSize read_size_;
  LineBuffer lines_;
  ReplyQueue replies_;
  std::size_t unanswered_ = 0;  // submissions
  std::uint64_t unanswered_bytes_ = 0;
  std::size_t held_bytes_ = 0;  // as Producers was told last
  Phase phase_ = Phase::kReading;
  bool read_is_due_ = false;   // waits for the socket or its turn
  bool write_is_due_ = false;  // waits for the socket
  bool unread_is_timed_ = false;
};

}  // namespace outboxd
