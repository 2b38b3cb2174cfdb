#include "core/batch_verdict.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/answer.h"
#include "core/answer_shape.h"
#include "core/ascii.h"
#include "core/job.h"
#include "core/json.h"
#include "core/object_scan.h"
#include "core/policy.h"
#include "core/result.h"
#include "core/text.h"
#include "core/time.h"
#include "core/verdict.h"

namespace outboxd {
namespace {

struct Errors {
  std::map<std::size_t, ItemRefusal> by_index;
  std::optional<std::string> astray;  // says of an error that names no item; or of a list that cannot be read
};

constexpr int kNotFound = 404;
constexpr int kMethodNotAllowed = 405;
constexpr std::size_t kReasonBytes = 300;
constexpr std::string_view kErrors = "errors";

void CutToReason(std::string& text) {
  text.resize(CutAtCharacter(text, kReasonBytes).size());
}

// "name: required: a name is needed", on one line.
std::string Describe(const Answer& answer, const JsonValue& error) {
  std::string text;
  for (const char* member : {"field", "reason", "message"}) {
    const std::string part = error[member].String();
    if (part.empty()) continue;
    if (!text.empty()) text += ": ";
    text += part;
  }
  if (text.empty()) return "refused without a reason";
  text = answer.Shown(std::move(text));
  CutToReason(text);
  return OneLine(std::move(text));
}

std::optional<std::size_t> IndexOf(const JsonValue& error, std::size_t count) {
  const std::int64_t index = error["batch_index"].IsNumber() ? error["batch_index"].Int(-1) : -1;
  if (index < 0 || static_cast<std::uint64_t>(index) >= count) return std::nullopt;
  return static_cast<std::size_t>(index);
}

// A body that was cut, as far as its list of errors goes in whole entries; "{}" when there are none.
std::string WithWholeErrors(std::string body) {
  while (!body.empty() && Byte(body.back()) >= 0x80) body.pop_back();  // perhaps half a character
  // Both scans fail where the text ends, and leave what is before that; of it only the last may be open.
  std::vector<Member> members;
  static_cast<void>(ScanMembers(body, members));
  const auto errors = std::find_if(members.begin(), members.end(), [](const Member& member) {
    return member.key == kErrors && member.kind == ValueKind::kArray;
  });
  if (errors == members.end()) return "{}";
  const std::string list = body.substr(errors->raw.offset);
  std::vector<Member> entries;
  static_cast<void>(ScanMembers(list, entries));
  if (!entries.empty() && entries.back().raw.empty()) entries.pop_back();
  if (entries.empty()) return "{}";
  const Slice& last = entries.back().raw;
  return R"({"errors":)" + list.substr(0, last.offset + last.length) + "]}";
}

Errors ReadErrors(const Answer& answer, std::size_t count) {
  Errors errors;
  const bool speaks_of_errors = answer.body.find("\"errors\"") != std::string::npos;
  if (answer.status != kMultiStatus && !speaks_of_errors) return errors;
  const Result<JsonValue> body =
      JsonValue::Parse(answer.is_body_cut ? WithWholeErrors(answer.body) : answer.body);
  if (!body || !(*body)[kErrors].IsArray()) {
    if (answer.status == kMultiStatus && !answer.is_body_cut)
      errors.astray = "its list of errors cannot be read";
    return errors;
  }
  for (const JsonValue& error : (*body)[kErrors].Items()) {
    const std::optional<std::size_t> index = count == 1 ? 0 : IndexOf(error, count);
    if (!index) {
      errors.astray = Describe(answer, error);
      continue;
    }
    ItemRefusal& refusal = errors.by_index[*index];
    refusal.index = *index;
    if (!refusal.reason.empty()) refusal.reason += "; ";
    refusal.reason += Describe(answer, error);
    CutToReason(refusal.reason);
    refusal.answer += answer.Shown(error.ToText());
  }
  return errors;
}

BatchVerdict JudgeItems(Verdict whole, const Answer& answer, std::size_t count) {
  Errors errors = ReadErrors(answer, count);
  BatchVerdict verdict;
  const std::string status = whole.reason;
  verdict.rest = std::move(whole);
  for (auto& [index, refusal] : errors.by_index) {
    refusal.reason = status + ": " + refusal.reason;
    verdict.refused.push_back(std::move(refusal));
  }
  if (!errors.astray) return verdict;
  verdict.rest.reason = status + ": " + *errors.astray;
  verdict.rest.fate = count == 1 ? Fate::kRejected : Fate::kSplit;
  return verdict;
}

// In whatever words: as of something else than the API, unless every status is believed.
BatchVerdict WithoutRoute(Verdict whole, Trust trust) {
  if (!whole.believed) whole.reason += ": perhaps the host has no batches";
  if (trust == Trust::kEveryStatus) {
    whole.fate = Fate::kSplit;
    whole.believed.reset();
  } else {
    whole.fate = Fate::kNotTrackApi;
    whole.believed = Fate::kSplit;
  }
  return {std::move(whole), {}, true};
}

}  // namespace

BatchVerdict JudgeBatch(const Answer& answer, std::size_t count, const RetryPolicy& policy, Timestamp now,
                        Trust trust) {
  const Expected expected = trust == Trust::kEveryStatus ? Expected::kAnything : Expected::kV2;
  Verdict whole = JudgeAnswer(answer, expected, policy, now);
  if (whole.fate == Fate::kDelivered) return JudgeItems(std::move(whole), answer, count);
  if (count > 1 && (answer.status == kNotFound || answer.status == kMethodNotAllowed))
    return WithoutRoute(std::move(whole), trust);
  if (whole.fate == Fate::kRejected && count > 1) whole.fate = Fate::kSplit;
  if (whole.believed && count > 1) whole.believed = Fate::kSplit;
  return {std::move(whole), {}, false};
}

}  // namespace outboxd
