// tests/simulation/hostile_lines.h — the worst lines that outboxd accepts, and ordinary ones beside them.
// What a line is answered stands in it, whoever asks and whenever.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/names.h"
#include "core/user_shares.h"

namespace outboxd::simulation {

// What the API, or what stands before it, answers.
enum class Reaction : std::uint8_t {
  kWell,        // 200
  kRefused,     // 400, in the API's own words
  kMissing,     // 404, likewise
  kPage,        // 404, a page of HTML
  kForbidden,   // a firewall's 403
  kMoved,       // a router's 301
  kError,       // 500
  kReset,       // no answer, on whatever connection
  kUnanswered,  // the same, in a way that is repeated at once
  kSilent,      // no answer until time is over
  kLate,        // a good answer, later than the job's own timeout_ms
};

// How such a line is written.
enum class Shape : std::uint8_t {
  kRaw,        // of its own path
  kOwnRetry,   // a raw job that wants a hundred attempts, whatever is answered
  kCustomers,  // ordinary events, each of another customer
  kFew,        // ordinary events of three customers
  kLong,       // a raw job as long as a line may be
  kMembers,    // a raw job with as many fields, query members and headers as there may be
  kMerges,     // merges of many customers into one whose first job stays
};

// Lines of one user, alike.
struct Attack {
  Reaction reaction = Reaction::kWell;
  Shape shape = Shape::kRaw;
  std::string connection;
  User user;
  std::uint32_t count = 0;
  std::int64_t delay_ms = 0;   // of kOwnRetry
  std::int64_t max_age_s = 0;  // 0: the connection's
  std::size_t bytes = 0;       // of kLong
};

struct Line {
  int number = 0;
  bool is_good = false;  // one of a good producer's
  std::string connection;
  std::vector<std::string> customers;
  std::string text;
};

// `is_first`: of the attack.
Line HostileLine(const Attack& attack, int number, bool is_first);
// Of an ordinary program: an identify, an event or a page view.
Line GoodLine(const std::string& connection, std::uint32_t customer, int number);

// From a line's ref.
struct Ref {
  Reaction reaction = Reaction::kWell;
  int number = 0;
};
Ref ReadRef(std::string_view ref);

}  // namespace outboxd::simulation

namespace outboxd {

template <>
inline constexpr Names<simulation::Reaction> kNames<simulation::Reaction>{
    {{simulation::Reaction::kWell, "well"},
     {simulation::Reaction::kRefused, "refused"},
     {simulation::Reaction::kMissing, "missing"},
     {simulation::Reaction::kPage, "page"},
     {simulation::Reaction::kForbidden, "forbidden"},
     {simulation::Reaction::kMoved, "moved"},
     {simulation::Reaction::kError, "error"},
     {simulation::Reaction::kReset, "reset"},
     {simulation::Reaction::kUnanswered, "unanswered"},
     {simulation::Reaction::kSilent, "silent"},
     {simulation::Reaction::kLate, "late"}}};

template <>
inline constexpr Names<simulation::Shape> kNames<simulation::Shape>{
    {{simulation::Shape::kRaw, "raw"},
     {simulation::Shape::kOwnRetry, "own retry"},
     {simulation::Shape::kCustomers, "events of many"},
     {simulation::Shape::kFew, "events of three"},
     {simulation::Shape::kLong, "long lines"},
     {simulation::Shape::kMembers, "many members"},
     {simulation::Shape::kMerges, "merges"}}};

}  // namespace outboxd
