#include "core/batch_verdict.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "core/json.h"
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

constexpr std::size_t kReasonBytes = 300;

void CutToReason(std::string& text) {
  text.resize(CutAtCharacter(text, kReasonBytes).size());
}

// "name: required: a name is needed", on one line.
std::string Describe(const JsonValue& error) {
  std::string text;
  for (const char* member : {"field", "reason", "message"}) {
    const std::string part = error[member].String();
    if (part.empty()) continue;
    if (!text.empty()) text += ": ";
    text += part;
  }
  if (text.empty()) return "refused without a reason";
  CutToReason(text);
  return OneLine(std::move(text));
}

std::optional<std::size_t> IndexOf(const JsonValue& error, std::size_t count) {
  const std::int64_t index = error["batch_index"].IsNumber() ? error["batch_index"].Int(-1) : -1;
  if (index < 0 || static_cast<std::uint64_t>(index) >= count) return std::nullopt;
  return static_cast<std::size_t>(index);
}

Errors ReadErrors(const Answer& answer, std::size_t count) {
  Errors errors;
  const bool speaks_of_errors = answer.body.find("\"errors\"") != std::string::npos;
  if (answer.status != kMultiStatus && !speaks_of_errors) return errors;
  const Result<JsonValue> body = JsonValue::Parse(answer.body);
  if (!body || !(*body)["errors"].IsArray()) {
    if (answer.status == kMultiStatus) errors.astray = "its list of errors cannot be read";
    return errors;
  }
  for (const JsonValue& error : (*body)["errors"].Items()) {
    const std::optional<std::size_t> index = count == 1 ? 0 : IndexOf(error, count);
    if (!index) {
      errors.astray = Describe(error);
      continue;
    }
    ItemRefusal& refusal = errors.by_index[*index];
    refusal.index = *index;
    if (!refusal.reason.empty()) refusal.reason += "; ";
    refusal.reason += Describe(error);
    CutToReason(refusal.reason);
    refusal.answer += error.ToText();
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

}  // namespace

BatchVerdict JudgeBatch(const Answer& answer, std::size_t count, const RetryPolicy& policy, Timestamp now) {
  Verdict whole = JudgeAnswer(answer, policy, now);
  if (whole.fate == Fate::kDelivered) return JudgeItems(std::move(whole), answer, count);
  if (whole.fate == Fate::kRejected && count > 1) whole.fate = Fate::kSplit;
  return BatchVerdict{std::move(whole), {}};
}

}  // namespace outboxd
