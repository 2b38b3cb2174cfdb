#include "ctl/importer.h"

#include <poll.h>
#include <sys/poll.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/json.h"
#include "core/names.h"
#include "core/refusal.h"
#include "core/result.h"
#include "core/time.h"
#include "ctl/import_state.h"
#include "ctl/interrupt.h"
#include "ctl/line_reader.h"

namespace outboxd {
namespace {

constexpr Milliseconds kFirstPause{50};
constexpr Milliseconds kLongestPause{2000};
constexpr Milliseconds kStep{100};  // how late an interrupt may be noticed
constexpr auto kLastAnswers = std::chrono::seconds(5);
// A daemon that answers nothing for so long may be taken for hung.
constexpr auto kSilence = std::chrono::seconds(30);

bool IsBlank(const std::string& text) {
  return text.find_first_not_of(" \t\r") == std::string::npos;
}

}  // namespace

Importer::Importer(LineReader& reader, ImportState state, ImportSettings settings, ImportEvents events)
    : reader_(reader),
      state_(state),
      settings_(std::move(settings)),
      events_(std::move(events)),
      burst_(settings_.window_lines) {}

ImportResult Importer::Run() {
  moved_ = Clock::now();
  std::optional<Clock::time_point> interrupted;
  while (true) {
    if (Interrupted() && !interrupted) interrupted = Clock::now();
    if (interrupted && (unanswered_.empty() || Clock::now() - *interrupted > kLastAnswers))
      return Stop(ImportOutcome::kInterrupted, {});
    if (!interrupted) {
      ReadMore();
      if (input_ended_ && lines_.empty())
        return unreadable_ ? Stop(ImportOutcome::kGaveUp, *unreadable_) : Stop(ImportOutcome::kDone, {});
      if (const std::optional<Error> stuck = Stuck()) return Stop(ImportOutcome::kGaveUp, *stuck);
      if (unanswered_.empty()) Rest();
      SendWaiting();
    }
    Exchange();
    Advance();
    if (forbidden_) return Stop(ImportOutcome::kGaveUp, *forbidden_);
  }
}

ImportResult Importer::Stop(ImportOutcome outcome, Error error) {
  if (!unanswered_.empty()) events_.sent_again(unanswered_.size());
  return ImportResult{outcome, state_, std::move(error)};
}

// Answers that are still to come are waited for: a line that was accepted must not be left out of the
// account.
std::optional<Error> Importer::Stuck() const {
  const auto still = Clock::now() - moved_;
  if (unanswered_.empty()) return still >= settings_.wait_max ? trouble_ : std::nullopt;
  if (still < std::max<Clock::duration>(settings_.wait_max, kSilence)) return std::nullopt;
  return Error{ErrorKind::kUnavailable, "the daemon does not answer", {}};
}

bool Importer::WantsInput() const {
  return !input_ended_ && !HasAgain() && lines_.size() < settings_.window_lines &&
         bytes_ < settings_.window_bytes;
}

// Waits for input only when there is nothing else to wait for.
void Importer::ReadMore() {
  while (WantsInput()) {
    InputLine input;
    const Result<ReadStatus> status = reader_.Next(input, lines_.empty() ? kStep : Milliseconds(0));
    if (!status) unreadable_ = status.error();
    if (!status || *status == ReadStatus::kEnd) {
      input_ended_ = true;
      return;
    }
    if (*status == ReadStatus::kNothingYet) {
      if (lines_.empty()) moved_ = Clock::now();  // an idle pipe is nobody's fault
      return;
    }
    bytes_ += input.text.size();
    Line& line = lines_.emplace_back(Line{std::move(input)});
    if (line.input.too_long) {
      Refuse(line, {line.input.number,
                    {},
                    std::string(NameOf(Refusal::kTooLarge)),
                    {},
                    "longer than any line the daemon takes"});
    } else if (IsBlank(line.input.text)) {
      line.standing = Standing::kSettled;
    }
  }
}

// While lines wait to be sent again, one at a time feels the way.
void Importer::SendWaiting() {
  if (HasAgain() && !unanswered_.empty()) return;
  if (lines_.empty() || (!client_ && !Connect())) return;
  for (Line& line : lines_) {
    if (unanswered_.size() >= burst_) break;
    if (line.standing == Standing::kUnanswered || line.standing == Standing::kSettled) continue;
    if (line.standing == Standing::kAgain) --again_;
    line.standing = Standing::kUnanswered;
    unanswered_.push_back(&line);
    client_->Queue(line.input.text);
  }
}

bool Importer::Connect() {
  Result<ProducerClient> client = ProducerClient::Connect(settings_.producer);
  if (!client) {
    StepBack(client.error());
    return false;
  }
  client_.emplace(std::move(*client));
  return true;
}

void Importer::Exchange() {
  if (!client_) return;
  std::vector<std::string> replies;
  const bool idle = unanswered_.empty();
  const Result<void> exchanged = client_->Exchange(replies, idle ? Milliseconds(0) : kStep);
  for (const std::string& reply : replies) {
    if (!unanswered_.empty()) OnReply(reply);
  }
  if (!exchanged && client_) LoseConnection(exchanged.error());
}

void Importer::OnReply(const std::string& reply) {
  Line& line = *unanswered_.front();
  unanswered_.pop_front();
  if (reply.starts_with("{\"ok\":true")) {
    ++state_.accepted;
    return Settle(line);
  }
  const Result<JsonValue> parsed = JsonValue::Parse(reply);
  if (parsed && (*parsed)["ok"].Bool()) {
    ++state_.accepted;
    return Settle(line);
  }
  const JsonValue error = parsed ? (*parsed)["error"] : JsonValue();
  const std::string code = error["code"].String(std::string(NameOf(Refusal::kInternal)));
  const std::string message = error["message"].String(code);
  const std::optional<Refusal> refusal = kNames<Refusal>.Find(code);
  end_announced_ = refusal && EndsConnection(*refusal);
  // A code that is not known here judges the line.
  switch (refusal ? AfterRefusalOf(*refusal) : AfterRefusal::kSkip) {
    case AfterRefusal::kTryAgain:
      SendLater(line);
      return StepBack(Error{ErrorKind::kBusy, message, {}});
    case AfterRefusal::kStop:
      SendLater(line);
      forbidden_ = Error{ErrorKind::kInvalid, message, {}};
      return LoseConnection(*forbidden_);
    case AfterRefusal::kSkip:
      return Refuse(line, {line.input.number, line.input.text, code, error["field"].String(), message});
  }
}

void Importer::SendLater(Line& line) {
  line.standing = Standing::kAgain;
  ++again_;
}

void Importer::Settle(Line& line) {
  line.standing = Standing::kSettled;
  moved_ = Clock::now();
  if (++settled_in_burst_ >= burst_ && burst_ < settings_.window_lines) {
    burst_ = std::min(burst_ * 2, settings_.window_lines);
    settled_in_burst_ = 0;
  }
  if (!trouble_) return;
  trouble_.reset();
  pause_ = Milliseconds(0);
  events_.waiting({});
}

void Importer::Refuse(Line& line, const Refused& refused) {
  ++state_.refused;
  events_.refused(refused);
  Settle(line);
}

// After an announced end the unanswered lines were not looked at; otherwise nobody knows.
void Importer::LoseConnection(const Error& error) {
  const bool expected = std::exchange(end_announced_, false);
  client_.reset();
  for (Line* line : unanswered_) SendLater(*line);
  if (!unanswered_.empty() && !expected) events_.sent_again(unanswered_.size());
  unanswered_.clear();
  if (!expected && !lines_.empty()) StepBack(error);
}

void Importer::StepBack(Error why) {
  if (!trouble_) events_.waiting(why.message);
  trouble_ = std::move(why);
  burst_ = 1;
  settled_in_burst_ = 0;
  if (unanswered_.empty() || pause_.count() == 0) pause_ = std::clamp(pause_ * 2, kFirstPause, kLongestPause);
}

// The pause before a new try; short enough that an interrupt or the end of patience is noticed.
void Importer::Rest() {
  if (!trouble_) return;
  const auto patience_left = std::chrono::ceil<Milliseconds>(settings_.wait_max - (Clock::now() - moved_));
  const Clock::time_point until =
      Clock::now() + std::clamp(pause_, Milliseconds(0), std::max(patience_left, Milliseconds(0)));
  while (!Interrupted() && Clock::now() < until) {
    const auto left = std::chrono::ceil<Milliseconds>(until - Clock::now());
    ::poll(nullptr, 0, static_cast<int>(std::min(left, kStep).count()));
    events_.settled(state_);
  }
}

void Importer::Advance() {
  while (!lines_.empty() && lines_.front().standing == Standing::kSettled) {
    const InputLine& input = lines_.front().input;
    state_.offset = input.end_offset;
    state_.lines = input.number;
    bytes_ -= input.text.size();
    lines_.pop_front();
  }
  events_.settled(state_);
}

}  // namespace outboxd
