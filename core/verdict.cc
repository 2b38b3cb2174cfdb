#include "core/verdict.h"

#include <algorithm>
#include <array>
#include <utility>

#include "core/ascii.h"
#include "core/limits.h"
#include "core/object_scan.h"

namespace outboxd {
namespace {

constexpr std::size_t kLocationBytes = 200;
constexpr int kNoAnswer = 0;

constexpr std::array<std::pair<int, std::string_view>, 40> kPhrases = {{
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {207, "Multi-Status"},
    {300, "Multiple Choices"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {402, "Payment Required"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {407, "Proxy Authentication Required"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {423, "Locked"},
    {425, "Too Early"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
}};

bool IsHexLetter(char byte) {
  return (byte >= 'a' && byte <= 'f') || (byte >= 'A' && byte <= 'F');
}

bool IsAlnum(char byte) {
  return IsDigit(byte) || IsLetter(byte);
}

bool IsWordByte(char byte) {
  return IsAlnum(byte) || std::string_view("_-.@+%").find(byte) != std::string_view::npos;
}

bool IsBlank(char byte) {
  return static_cast<unsigned char>(byte) <= ' ' || byte == '\x7f';
}

std::string StatusText(int status) {
  std::string text = std::to_string(status);
  for (const auto& [known, phrase] : kPhrases) {
    if (known == status) return text.append(" ").append(phrase);
  }
  return text;
}

std::string Reason(const Answer& answer) {
  if (answer.status == kNoAnswer) return answer.error.empty() ? "no answer" : answer.error;
  std::string text = StatusText(answer.status);
  if (answer.status / 100 == 3 && !answer.location.empty())
    text.append(" to ").append(answer.location, 0, kLocationBytes);
  return text;
}

Fate FateOf(int status) {
  switch (status) {
    case kNoAnswer:
    case 408:
    case 429:
      return Fate::kDeferred;
    case 401:
    case 403:
      return Fate::kPausedAuth;
    default:
      break;
  }
  switch (status / 100) {
    case 2:
      return Fate::kDelivered;
    case 3:
      return Fate::kPausedRegion;
    case 5:
      return Fate::kDeferred;
    default:
      return Fate::kRejected;
  }
}

const RawRetry* OwnRetry(const Job& job) {
  return job.raw != nullptr && job.raw->retry ? &*job.raw->retry : nullptr;
}

// base × 2^(charged-1), at most cap.
Milliseconds Exponential(Milliseconds base, Milliseconds cap, std::uint32_t charged) {
  Milliseconds delay = std::min(base, cap);
  for (std::uint32_t i = 1; i < charged && delay < cap && delay > Milliseconds(0); ++i) {
    delay = delay > cap / 2 ? cap : delay * 2;
  }
  return delay;
}

std::optional<Milliseconds> RetryAfterOf(const Answer& answer, const RetryPolicy& policy, Timestamp now) {
  if (!answer.retry_after) return std::nullopt;
  const std::optional<Milliseconds> asked = ParseRetryAfter(*answer.retry_after, now);
  if (!asked) return std::nullopt;
  return std::min(*asked, policy.retry_after_cap);
}

Milliseconds Jittered(Milliseconds delay, double random) {
  return Milliseconds(static_cast<Milliseconds::rep>(static_cast<double>(delay.count()) * random));
}

// Builds a cause; stops taking once it is more than long enough, so that the cut shows whether a character
// goes on.
class CauseWriter {
 public:
  void Add(std::string_view text) {
    const std::size_t start = text.find_first_not_of(kJsonWhiteSpace);
    const bool is_json = start != std::string_view::npos && (text[start] == '{' || text[start] == '[');
    while (!text.empty() && cause_.size() <= kCauseBytes) text.remove_prefix(AddPiece(text, is_json));
  }
  void AddVerbatim(std::string_view text) { cause_ += text; }
  bool IsEmpty() const { return cause_.empty(); }

  std::string Take() {
    if (cause_.size() > kCauseBytes) {
      std::size_t end = kCauseBytes;
      while (end > 0 && (static_cast<unsigned char>(cause_[end]) & 0xc0) == 0x80)
        --end;  // not inside a character
      cause_.resize(end);
    }
    while (cause_.ends_with(' ')) cause_.pop_back();
    return std::move(cause_);
  }

 private:
  // Returns how many bytes of `text` it has dealt with, at least 1.
  std::size_t AddPiece(std::string_view text, bool is_json) {
    if (IsBlank(text.front())) {
      if (!cause_.empty() && !cause_.ends_with(' ')) cause_ += ' ';
      return 1;
    }
    if (const std::size_t quoted = QuotedLength(text, is_json); quoted > 0) {
      cause_ += "<value>";
      return quoted;
    }
    if (!IsWordByte(text.front())) {
      cause_ += text.front();
      return 1;
    }
    return AddWord(text);
  }

  // Length of the quoted value at the start of `text`, 0 if there is none. The double quotes of a JSON text
  // are its structure, those escaped in it are quotes; an apostrophe between letters is none.
  std::size_t QuotedLength(std::string_view text, bool is_json) const {
    constexpr std::size_t kLongestValue = 200;
    std::string_view quote = text.substr(0, 1);
    if (is_json && text.starts_with("\\\"")) {
      quote = text.substr(0, 2);
    } else if (quote != "'" && quote != "`" && (quote != "\"" || is_json)) {
      return 0;
    }
    if (!cause_.empty() && IsAlnum(cause_.back())) return 0;
    const std::size_t close = text.substr(0, kLongestValue).find(quote, quote.size());
    if (close == std::string_view::npos) return 0;
    const std::size_t end = close + quote.size();
    return end < text.size() && IsAlnum(text[end]) ? 0 : end;
  }

  std::size_t AddWord(std::string_view text) {
    const auto* const stop = std::find_if_not(text.begin(), text.end(), IsWordByte);
    std::string_view word = text.substr(0, static_cast<std::size_t>(stop - text.begin()));
    while (word.size() > 1 && (word.ends_with('.') || word.ends_with('-')))
      word.remove_suffix(1);  // end of a sentence
    const std::size_t at = word.find('@');
    if (at != std::string_view::npos && at > 0 && at + 1 < word.size()) {
      cause_ += "<email>";
    } else if (IsId(word)) {
      cause_ += '#';
    } else {
      AddParts(word);
    }
    return word.size();
  }

  void AddParts(std::string_view word) {
    while (!word.empty()) {
      const auto* const stop = std::find_if_not(word.begin(), word.end(), IsAlnum);
      const std::size_t length = std::max<std::size_t>(static_cast<std::size_t>(stop - word.begin()), 1);
      const std::string_view part = word.substr(0, length);
      if (IsId(part)) {
        cause_ += '#';
      } else {
        AddWithoutDigits(part);
      }
      word.remove_prefix(length);
    }
  }

  void AddWithoutDigits(std::string_view part) {
    bool was_digit = false;
    for (const char byte : part) {
      if (!IsDigit(byte)) {
        cause_ += byte;
      } else if (!was_digit) {
        cause_ += '#';
      }
      was_digit = IsDigit(byte);
    }
  }

  // Hex runs (with dashes: UUIDs), ULIDs and the like: long, and letters mixed with digits.
  static bool IsId(std::string_view word) {
    constexpr std::ptrdiff_t kShortestHex = 8;
    constexpr std::ptrdiff_t kShortestOther = 16;
    const auto digits = std::count_if(word.begin(), word.end(), IsDigit);
    const auto hex = digits + std::count_if(word.begin(), word.end(), IsHexLetter);
    const auto dashes = std::count(word.begin(), word.end(), '-');
    const auto alnum = std::count_if(word.begin(), word.end(), IsAlnum);
    const auto length = static_cast<std::ptrdiff_t>(word.size());
    if (digits == 0 || digits == alnum) return false;
    return (hex >= kShortestHex && hex + dashes == length) ||
           (digits > 1 && alnum >= kShortestOther && alnum == length);
  }

  std::string cause_;
};

bool StartsWithStatus(std::string_view reason) {
  return reason.size() >= 3 && std::all_of(reason.begin(), reason.begin() + 3, IsDigit) &&
         (reason.size() == 3 || reason[3] == ' ');
}

Milliseconds BackoffOf(const RawRetry* own, std::uint32_t charged, const RetryPolicy& policy, double random) {
  if (own == nullptr) return Jittered(Exponential(policy.base, policy.cap, charged), random);
  if (!own->exponential) return std::min(own->delay, policy.cap);
  const Milliseconds base = own->delay > Milliseconds(0) ? own->delay : policy.base;
  return Jittered(Exponential(base, policy.cap, charged), random);
}

}  // namespace

Verdict JudgeAnswer(const Answer& answer, const RetryPolicy& policy, Timestamp now) {
  Verdict verdict;
  verdict.fate = FateOf(answer.status);
  verdict.reason = Reason(answer);
  verdict.closes_gate = verdict.fate == Fate::kDeferred;
  if (verdict.fate == Fate::kDeferred) verdict.retry_after = RetryAfterOf(answer, policy, now);
  return verdict;
}

Verdict Judge(const Answer& answer, const Job& job, const RetryPolicy& policy, Timestamp now) {
  Verdict verdict = JudgeAnswer(answer, policy, now);
  const RawRetry* own = OwnRetry(job);
  if (verdict.fate != Fate::kRejected || own == nullptr || !own->all_errors) return verdict;
  verdict.fate = Fate::kDeferred;
  verdict.retry_after = RetryAfterOf(answer, policy, now);
  return verdict;
}

std::optional<Milliseconds> ParseRetryAfter(std::string_view value, Timestamp now) {
  constexpr Milliseconds kLongest = std::chrono::seconds(limits::kMaxAgeSeconds);
  constexpr std::string_view kWhiteSpace = " \t";
  const std::size_t start = value.find_first_not_of(kWhiteSpace);
  if (start == std::string_view::npos) return std::nullopt;
  value = value.substr(start, value.find_last_not_of(kWhiteSpace) - start + 1);
  if (const std::optional<Timestamp> date = ParseHttpDate(value))
    return std::clamp(*date - now, Milliseconds(0), kLongest);
  std::int64_t seconds = 0;
  for (const char byte : value) {
    if (!IsDigit(byte)) return std::nullopt;
    seconds = std::min(seconds * 10 + (byte - '0'), limits::kMaxAgeSeconds);
  }
  return std::chrono::seconds(seconds);
}

RetryPlan PlanRetry(const QueuedJob& job, std::uint32_t charged, const RetryPolicy& policy,
                    std::optional<Milliseconds> retry_after, Timestamp now, double random) {
  const RawRetry* own = OwnRetry(job.job);
  const std::int64_t attempts_max = own != nullptr ? own->max_retries + 1 : std::int64_t{policy.max_attempts};
  if (charged >= attempts_max) return {AfterDeferral::kExhausted, {}};
  if (IsExpired(job, policy, now)) return {AfterDeferral::kExpired, {}};
  const Milliseconds asked = std::min(retry_after.value_or(Milliseconds(0)), policy.retry_after_cap);
  return {AfterDeferral::kRetry, now + std::max(BackoffOf(own, charged, policy, random), asked)};
}

bool IsExpired(const QueuedJob& job, const RetryPolicy& policy, Timestamp now) {
  return now - job.AgeStart() > job.job.max_age.value_or(policy.max_age);
}

std::string NormaliseCause(std::string_view reason, std::string_view body) {
  CauseWriter cause;
  if (StartsWithStatus(reason)) {
    cause.AddVerbatim(reason.substr(0, 3));
    reason.remove_prefix(3);
  }
  cause.Add(reason);
  if (std::any_of(body.begin(), body.end(), [](char byte) { return !IsBlank(byte); })) {
    if (!cause.IsEmpty()) cause.AddVerbatim(": ");
    cause.Add(body);
  }
  return cause.Take();
}

}  // namespace outboxd
