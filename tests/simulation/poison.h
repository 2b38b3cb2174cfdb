// tests/simulation/poison.h — what a job may have in it that spoils the answer to its request, while all
// others are answered well.
#pragma once

#include <cstdint>

#include "core/names.h"

namespace outboxd::simulation {

enum class Poison : std::uint8_t {
  kNone,
  kError,      // the API's own 500
  kForbidden,  // a firewall's 403
  kMoved,      // a router's 301
  kPage,       // a page of HTML with 404
  kReset,      // no answer, on whatever connection
};

}  // namespace outboxd::simulation

namespace outboxd {

template <>
inline constexpr Names<simulation::Poison> kNames<simulation::Poison>{
    {{simulation::Poison::kNone, ""},
     {simulation::Poison::kError, "500"},
     {simulation::Poison::kForbidden, "403"},
     {simulation::Poison::kMoved, "301"},
     {simulation::Poison::kPage, "404"},
     {simulation::Poison::kReset, "reset"}}};

}  // namespace outboxd
