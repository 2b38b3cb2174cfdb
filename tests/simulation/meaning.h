// tests/simulation/meaning.h — an answer with what is behind it, and what it says of each job by contract
// (README "Delivery rules"): without a look at how outboxd tells.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/verdict.h"
#include "daemon/delivery/transfer.h"

namespace outboxd::simulation {

// Whose body it is.
enum class Voice : std::uint8_t {
  kApi,    // the Track API's own, in a shape that both of its versions have
  kApiV2,  // in a shape that only v2 has
  kPage,   // HTML, of whatever stands in the API's place
  kText,   // neither HTML nor JSON
  kJson,   // JSON, and of a refusal not as the API writes it
};

struct Said {
  Answer answer;
  Voice voice = Voice::kApi;
};

// The names of the results that outboxd records.
enum class Meaning : std::uint8_t {
  kDelivered,
  kDeferred,
  kRejected,
  kPausedAuth,
  kPausedRegion,
  kSplit,
  kUnanswered,
  kPausedProxy,
  kNotTrackApi,
};
std::string MeaningName(Meaning meaning);  // "delivered"

// Of each job of the transfer, in order.
std::vector<Meaning> MeaningsOf(const Transfer& transfer, const Said& said);

// Whether the region probe has to be asked before anything else leaves.
bool NeedsProbe(Meaning meaning);
// An answer of the API's own to the job: not what a busy or broken front says to everybody.
bool IsOwnAnswer(int status);

}  // namespace outboxd::simulation
