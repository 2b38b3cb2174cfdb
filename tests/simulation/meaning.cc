#include "tests/simulation/meaning.h"

#include <algorithm>
#include <array>
#include <cstddef>

#include "core/json.h"
#include "tests/simulation/violation.h"

namespace outboxd::simulation {
namespace {

constexpr int kMultiStatus = 207;

Meaning MeaningWithoutAnswer(Fault fault) {
  if (fault == Fault::kUnanswered) return Meaning::kUnanswered;
  return fault == Fault::kProxy ? Meaning::kPausedProxy : Meaning::kDeferred;
}

bool IsTrouble(int status) {
  constexpr std::array<int, 5> kTroubles = {408, 421, 423, 425, 429};
  return status / 100 == 5 || std::find(kTroubles.begin(), kTroubles.end(), status) != kTroubles.end();
}

// The body of a 2xx or of a refusal is one that the API would write. Of a raw job anything is, but for a page
// where its producer wrote that it expects JSON.
bool IsOwn(const Transfer& transfer, const Said& said) {
  if (transfer.job && transfer.job->job.raw) {
    const bool wants_json = transfer.job->job.line.find(R"("response_type":"json")") != std::string::npos;
    return said.voice != Voice::kPage || !wants_json;
  }
  switch (said.voice) {
    case Voice::kApi:
      return true;
    case Voice::kApiV2:
      return transfer.kind == TransferKind::kBatch || said.answer.status / 100 == 2;
    case Voice::kJson:
      return said.answer.status / 100 == 2;
    case Voice::kPage:
    case Voice::kText:
      return false;
  }
  return false;
}

Meaning MeaningOf(const Transfer& transfer, const Said& said) {
  const int status = said.answer.status;
  if (status == 0) return MeaningWithoutAnswer(said.answer.fault);
  if (status == 407) return Meaning::kPausedProxy;
  if (IsTrouble(status)) return Meaning::kDeferred;
  if (status == 401 || status == 403) return Meaning::kPausedAuth;
  if (status / 100 == 3) return Meaning::kPausedRegion;
  if (transfer.kind == TransferKind::kBatch && (status == 404 || status == 405)) return Meaning::kNotTrackApi;
  if (!IsOwn(transfer, said)) return Meaning::kNotTrackApi;
  return status / 100 == 2 ? Meaning::kDelivered : Meaning::kRejected;
}

bool WantsAllErrors(const Transfer& transfer) {
  return transfer.job && transfer.job->job.raw && transfer.job->job.raw->retry &&
         transfer.job->job.raw->retry->all_errors;
}

}  // namespace

std::string MeaningName(Meaning meaning) {
  constexpr std::array<const char*, 9> kNames = {"delivered",   "deferred",      "rejected",
                                                 "paused_auth", "paused_region", "split",
                                                 "unanswered",  "paused_proxy",  "not_track_api"};
  return kNames[static_cast<std::size_t>(meaning)];
}

std::vector<Meaning> MeaningsOf(const Transfer& transfer, const Said& said) {
  const std::size_t count = transfer.Jobs().size();
  std::vector<Meaning> meanings(count, MeaningOf(transfer, said));
  if (count == 0) return meanings;
  if (meanings.front() == Meaning::kRejected && WantsAllErrors(transfer))
    meanings.front() = Meaning::kDeferred;
  if (transfer.kind != TransferKind::kBatch) return meanings;
  if (meanings.front() == Meaning::kRejected) meanings.assign(count, Meaning::kSplit);
  if (said.answer.status != kMultiStatus) return meanings;
  const Result<JsonValue> body = JsonValue::Parse(said.answer.body);
  Demand(body.has_value(), "a 207 of the simulation is not JSON");
  bool astray = false;
  for (const JsonValue& error : (*body)["errors"].Items()) {
    const std::int64_t index = error["batch_index"].Int(-1);
    astray = astray || index < 0 || index >= static_cast<std::int64_t>(count);
  }
  if (astray) meanings.assign(count, Meaning::kSplit);
  for (const JsonValue& error : (*body)["errors"].Items()) {
    const std::int64_t index = error["batch_index"].Int(-1);
    if (index >= 0 && index < static_cast<std::int64_t>(count))
      meanings[static_cast<std::size_t>(index)] = Meaning::kRejected;
  }
  return meanings;
}

bool NeedsProbe(Meaning meaning) {
  return meaning == Meaning::kPausedAuth || meaning == Meaning::kPausedRegion ||
         meaning == Meaning::kNotTrackApi;
}

bool IsOwnAnswer(int status) {
  constexpr std::array<int, 6> kNotOwn = {0, 408, 429, 502, 503, 504};
  return std::find(kNotOwn.begin(), kNotOwn.end(), status) == kNotOwn.end();
}

}  // namespace outboxd::simulation
