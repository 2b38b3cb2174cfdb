#include "daemon/intake/track_answers.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/json.h"
#include "core/refusal.h"
#include "core/result.h"
#include "core/track_route.h"
#include "core/ulid.h"
#include "daemon/base/http_message.h"

namespace outboxd::track_answers {
namespace {

// In the header of an answer, which clients bound: Node.js takes 16 kB of headers.
constexpr std::size_t kJobIdsShown = 256;

std::string_view ReasonOf(const Error& error) {
  return error.kind == ErrorKind::kMissing ? "required" : "invalid";
}

std::string Sentence(const Error& error) {
  return error.field.empty() ? "the request " + error.message : error.field + " " + error.message;
}

}  // namespace

EntityError EntityErrorOf(const Error& error, std::optional<std::size_t> batch_index) {
  return {batch_index, std::string(ReasonOf(error)), error.field, Sentence(error)};
}

HttpResponse Json(unsigned status, std::string body) {
  return {status, kJsonType, std::move(body), {}};
}

// {"meta":{"error":…}}
HttpResponse MetaError(unsigned status, std::string_view message) {
  JsonWriter writer;
  writer.Object().Key("meta").Object().Key("error").String(message).EndObject().EndObject();
  return Json(status, writer.Text());
}

// {"errors":[…]}
HttpResponse EntityErrors(unsigned status, const std::vector<EntityError>& errors) {
  JsonWriter writer;
  writer.Object().Key("errors").Array();
  for (const EntityError& error : errors) {
    writer.Object();
    if (error.batch_index) writer.Key("batch_index").Int(static_cast<std::int64_t>(*error.batch_index));
    writer.Key("reason").String(error.reason).Key("field").String(error.field);
    writer.Key("message").String(error.message).EndObject();
  }
  return Json(status, writer.EndArray().EndObject().Text());
}

HttpResponse Refused(unsigned status, const TrackRoute& route, const Error& error) {
  if (!IsSecondVersion(route.kind)) return MetaError(status, Sentence(error));
  return EntityErrors(status, {EntityErrorOf(error)});
}

HttpResponse Unavailable(Refusal refusal, std::string_view message) {
  HttpResponse answer = MetaError(503, message);
  answer.headers.emplace_back("Retry-After", refusal == Refusal::kSpoolFull ? "5" : "1");
  return answer;
}

HttpResponse Stored(HttpResponse answer, std::span<const Ulid> jobs) {
  std::string ids;
  const std::span<const Ulid> shown = jobs.first(std::min(jobs.size(), kJobIdsShown));
  ids.reserve(shown.size() * (Ulid::kTextLength + 1));
  for (const Ulid& job : shown) {
    if (!ids.empty()) ids += ',';
    const auto id = job.ToChars();
    ids.append(id.data(), id.size());
  }
  answer.headers.emplace_back("X-Outbox-Job", std::move(ids));
  return answer;
}

HttpResponse Malformed() {
  return MetaError(400, "the request's head is not as HTTP wants it");
}

HttpResponse Forbidden() {
  return MetaError(403, "this user may not produce here (listen.track, users)");
}

HttpResponse Overloaded() {
  return Unavailable(Refusal::kBusy, "too much is under way; try again");
}

}  // namespace outboxd::track_answers
