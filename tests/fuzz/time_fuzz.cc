// Any text as a time: not one, or one that can be written and read again.
#include <algorithm>

#include "core/duration.h"
#include "core/limits.h"
#include "core/time.h"
#include "core/ulid.h"
#include "core/verdict.h"
#include "tests/fuzz/demand.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace outboxd;
  const std::string_view text = AsText(data, size);
  const Timestamp now = FromUnixMs(1'790'000'000'000);
  if (const auto wait = ParseRetryAfter(text, now))
    Demand(*wait >= Milliseconds(0), "Retry-After is never negative");
  if (const auto at = ParseRfc3339(text)) {
    const auto again = ParseRfc3339(FormatRfc3339(*at));
    // A year past 9999 or before 0 has no RFC 3339 form; an offset can lead there from the edge.
    const bool has_form = *at >= FromUnixMs(-62'167'219'200'000) && *at < FromUnixMs(253'402'300'800'000);
    Demand(!has_form || again == at, "a time survives being written");
  }
  if (const auto at = ParseHttpDate(text)) {
    const auto wait = ParseRetryAfter(text, now);
    const Milliseconds left =
        std::clamp(*at - now, Milliseconds(0), Milliseconds(std::chrono::seconds(limits::kMaxAgeSeconds)));
    Demand(wait == left, "Retry-After takes every HTTP date");
  }
  if (const auto duration = ParseDuration(text, BareNumber::kIsSeconds))
    Demand(ParseDuration(ShowDuration(*duration)) == duration, "a duration survives being written");
  if (const auto ulid = Ulid::Parse(text))
    Demand(Ulid::Parse(ulid->ToText()) == ulid, "a ULID survives being written");
  return 0;
}
