// daemon/intake/track_answers.h — what the Track-compatible endpoint answers, in the shapes of the Track API:
// each version has its own for errors. A 503 has a Retry-After that every library can wait for.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/refusal.h"
#include "core/result.h"
#include "core/track_route.h"
#include "core/ulid.h"
#include "daemon/base/http_message.h"

namespace outboxd::track_answers {

// What is wrong with one request of the second version, or with one item of its batch.
struct EntityError {
  std::optional<std::size_t> batch_index;
  std::string reason, field, message;
};
EntityError EntityErrorOf(const Error& error, std::optional<std::size_t> batch_index = std::nullopt);

HttpResponse Json(unsigned status, std::string body);
HttpResponse MetaError(unsigned status, std::string_view message);                   // the first version's
HttpResponse EntityErrors(unsigned status, const std::vector<EntityError>& errors);  // the second's
// In the shape of the route's version.
HttpResponse Refused(unsigned status, const TrackRoute& route, const Error& error);
// Of jobs that were good and could not be stored.
HttpResponse Unavailable(Refusal refusal, std::string_view message);
// Adds the ids of the stored jobs.
HttpResponse Stored(HttpResponse answer, std::span<const Ulid> jobs);

// What the HTTP server answers by itself.
HttpResponse Malformed();
HttpResponse Overloaded();
HttpResponse Forbidden();

}  // namespace outboxd::track_answers
