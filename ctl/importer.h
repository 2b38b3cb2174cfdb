// ctl/importer.h — feeds lines to the producer socket, many unanswered at a time, and keeps account of every
// one.
//
// A line is settled when the daemon accepted or refused it. A line answered `busy`, `spool_full` or
// `internal` is sent again, after a wait, before any new one. `forbidden` judges no line but the user: it
// ends the import. When the daemon closes the connection the unanswered lines are sent again: they may then
// be accepted twice, which a line that carries its own event_id makes harmless. Order: lines arrive in the
// order of the input unless the daemon has one of them sent again and takes a later one that was already
// under way.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "core/result.h"
#include "core/time.h"
#include "ctl/import_state.h"
#include "ctl/line_reader.h"
#include "ctl/producer_client.h"

namespace outboxd {

struct ImportSettings {
  std::filesystem::path producer;
  std::size_t window_lines = 2048;
  std::size_t window_bytes = 4U << 20;
  Milliseconds wait_max = std::chrono::minutes(10);  // without any line being settled, then it gives up
};

struct Refused {
  std::uint64_t line = 0;
  std::string text;  // the line itself; empty when it was too long to be read
  std::string code, field, message;
};

// How the import tells what happens; called between exchanges, never with the state half changed.
struct ImportEvents {
  std::function<void(const Refused&)> refused;
  std::function<void(const ImportState&)> settled;  // some lines were; all before state.offset are
  std::function<void(const std::string&)> waiting;  // why nothing moves; empty: it moves again
  std::function<void(std::uint64_t)> sent_again;    // so many lines may be accepted twice
};

enum class ImportOutcome { kDone, kInterrupted, kGaveUp };

struct ImportResult {
  ImportOutcome outcome = ImportOutcome::kDone;
  ImportState state;
  Error error;  // why it gave up
};

// Size: each member is what must be known of the lines under way to go on after a lost connection.
class Importer {
 public:
  Importer(LineReader& reader, ImportState state, ImportSettings settings, ImportEvents events);

  // Until the input ends or cannot be read on (what was read of it is still sent), Interrupted() (unanswered
  // lines are still waited for, briefly), nothing moves for too long or the daemon lets this user in no more.
  ImportResult Run();

 private:
  using Clock = std::chrono::steady_clock;
  enum class Standing { kNew, kUnanswered, kAgain, kSettled };
  struct Line {
    InputLine input;
    Standing standing = Standing::kNew;
  };

  void ReadMore();
  void SendWaiting();
  bool Connect();
  void Exchange();
  void OnReply(const std::string& reply);
  void SendLater(Line& line);
  void Settle(Line& line);
  void Refuse(Line& line, const Refused& refused);
  void LoseConnection(const Error& error);
  void StepBack(Error why);
  void Rest();
  ImportResult Stop(ImportOutcome outcome, Error error);
  std::optional<Error> Stuck() const;
  bool WantsInput() const;
  bool HasAgain() const { return again_ > 0; }
  void Advance();

  LineReader& reader_;
  ImportState state_;
  const ImportSettings settings_;
  const ImportEvents events_;
  std::optional<ProducerClient> client_;
  std::deque<Line> lines_;        // read and not yet passed by state_.offset, in the order of the input
  std::deque<Line*> unanswered_;  // in the order of sending
  std::size_t again_ = 0;         // lines with Standing::kAgain
  std::size_t bytes_ = 0;         // in lines_
  std::size_t burst_;  // lines unanswered at most: one after trouble, doubling with each burst that was taken
  std::size_t settled_in_burst_ = 0;
  bool input_ended_ = false;
  bool end_announced_ = false;  // the daemon closes after the last answer
  Milliseconds pause_{0};       // before the next try; grows while nothing moves
  Clock::time_point moved_;     // when a line was last settled
  std::optional<Error> trouble_;
  std::optional<Error> forbidden_;
  std::optional<Error> unreadable_;
};

}  // namespace outboxd
