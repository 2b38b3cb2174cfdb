#include "tests/simulation/content_api.h"

#include <cstddef>
#include <string>

#include "core/job.h"
#include "core/time.h"
#include "tests/simulation/meaning.h"
#include "tests/simulation/weather.h"

namespace outboxd::simulation {
namespace {

constexpr int kMultiStatus = 207;

Ref RefOf(const QueuedJob& job) {
  return ReadRef(job.job.ref);
}

bool IsRefusal(Reaction reaction) {
  return reaction == Reaction::kRefused || reaction == Reaction::kMissing;
}

Said SaidOf(Reaction reaction, const Transfer& transfer) {
  switch (reaction) {
    case Reaction::kRefused:
      return WithStatus(400);
    case Reaction::kMissing:
      return WithStatus(404);
    case Reaction::kPage:
      return Page(404);
    case Reaction::kForbidden:
      return Page(403);
    case Reaction::kMoved:
      return WithStatus(301);
    case Reaction::kError:
      return WithStatus(500);
    case Reaction::kReset:
      return Lost("recv: Connection reset by peer");
    case Reaction::kUnanswered:
      return Lost("recv: Connection reset by peer",
                  transfer.route == Route::kPooled ? Fault::kUnanswered : Fault::kNetwork);
    case Reaction::kSilent:
      return Lost("timeout: no answer");
    case Reaction::kLate:
      return Lost("timeout: nothing for 1 ms", Fault::kOwnTimeout);
    case Reaction::kWell:
      break;
  }
  return Well(transfer);
}

Said ItemByItem(const Transfer& transfer) {
  Said said = WithStatus(kMultiStatus);
  said.answer.body = R"({"errors":[)";
  for (std::size_t index = 0; index < transfer.batch.size(); ++index) {
    if (!IsRefusal(RefOf(*transfer.batch[index]).reaction)) continue;
    if (said.answer.body.back() == '}') said.answer.body += ',';
    said.answer.body += R"({"batch_index":)" + std::to_string(index) +
                        R"(,"reason":"invalid","field":"name","message":"no"})";
  }
  said.answer.body += "]}";
  return said;
}

Milliseconds TimeOf(Reaction reaction, const Transfer& transfer) {
  if (reaction == Reaction::kSilent) return transfer.endpoint->config.timeout;
  if (reaction == Reaction::kLate) return Milliseconds(1);
  const int number = transfer.Jobs().empty() ? 0 : RefOf(*transfer.Jobs().front()).number;
  return Milliseconds(10 + number * 7 % 30);
}

}  // namespace

ContentAnswer AnswerByContent(const Transfer& transfer) {
  Reaction reaction = Reaction::kWell;
  for (const auto& job : transfer.Jobs()) {
    const Reaction own = RefOf(*job).reaction;
    const bool is_spoiling = own != Reaction::kWell && !IsRefusal(own);
    if (reaction == Reaction::kWell || (IsRefusal(reaction) && is_spoiling)) reaction = own;
  }
  const bool is_mixed = transfer.kind == TransferKind::kBatch && IsRefusal(reaction);
  const Said said = is_mixed ? ItemByItem(transfer) : SaidOf(reaction, transfer);
  return {said.answer, TimeOf(reaction, transfer)};
}

bool IsDeliveredBy(const Transfer& transfer, const Answer& answer, std::size_t index) {
  if (answer.status == kMultiStatus) return !IsRefusal(RefOf(*transfer.batch[index]).reaction);
  return answer.status == 200;
}

}  // namespace outboxd::simulation
