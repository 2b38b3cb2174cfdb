#include "tests/simulation/track_api.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace outboxd::simulation {
namespace {

constexpr Milliseconds kTimeout{30'000};
constexpr Milliseconds kPrompt{1};  // for the least patient

std::optional<Milliseconds> OwnTimeout(const Transfer& transfer) {
  return transfer.job && transfer.job->job.raw ? transfer.job->job.raw->timeout : std::nullopt;
}

Said Spoil(Poison poison) {
  switch (poison) {
    case Poison::kNone:
    case Poison::kError:
      break;
    case Poison::kForbidden:
      return Page(403);
    case Poison::kMoved:
      return WithStatus(301);
    case Poison::kPage:
      return Page(404);
    case Poison::kReset:
      return Lost("recv: Connection reset by peer");
  }
  return WithStatus(500);
}

}  // namespace

void TrackApi::ChangeWeather() {
  if (troubled_) weather_.Change();
}

void TrackApi::CalmDown() {
  weather_.Clear();
  troubled_ = false;
}

Reply TrackApi::Receive(const Transfer& transfer) {
  Reply reply;
  reply.seen = ReadRequest(transfer);
  Said said = AnswerTo(transfer, reply.seen);
  reply.latency = poisons_ ? weather_.Latency() : kPrompt;
  const std::optional<Milliseconds> own = OwnTimeout(transfer);
  if (own && reply.latency > *own) {
    reply.latency = *own;
    said = Lost("timeout: nothing for " + std::to_string(own->count()) + " ms", Fault::kOwnTimeout);
  } else if (reply.latency > kTimeout) {
    reply.latency = kTimeout;
    said = Lost("timeout: nothing for 30 s");
  }
  reply.meanings = MeaningsOf(transfer, said);
  reply.answer = std::move(said.answer);
  return reply;
}

Said TrackApi::AnswerTo(const Transfer& transfer, const std::vector<SeenJob>& seen) {
  Said said = weather_.AnswerTo(transfer);
  const bool is_fine = said.answer.status / 100 == 2 && said.voice == Voice::kApi;
  if (is_fine && transfer.kind == TransferKind::kBatch && has_batches_ == HasBatches::kNo)
    return weather_.NoRoute();
  const auto bad =
      std::find_if(seen.begin(), seen.end(), [](const SeenJob& job) { return job.poison != Poison::kNone; });
  const bool is_spoilt =
      poisons_ && bad != seen.end() && said.answer.status == 200 && said.voice == Voice::kApi;
  return is_spoilt ? Spoil(bad->poison) : said;
}

}  // namespace outboxd::simulation
