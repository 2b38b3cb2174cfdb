// core/answer_shape.h — whether an answer is one of the Track API's own, or of something that stands in its
// place: a load balancer without a backend, a captive portal, a firewall, a wrong path in base_url.
//
// Pure. Bodies come from anywhere: the work is linear in what of them is read, and nothing recurses deeper
// than JsonValue lets it.
// Sources: the Track API's reference (2xx: `{}`, of a form no body; 400: `meta.error`, `meta.errors`, in v2
// `errors`) and what its own libraries read of an answer. It documents no body of any other 4xx.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/answer.h"
#include "core/job.h"

namespace outboxd {

// What an answer has to look like to be taken for the Track API's.
enum class Expected : std::uint8_t {
  kAnything,  // its status is believed
  kNoHtml,    // so it is, unless a page comes with it
  kV1,        // 2xx: no body, or JSON. 4xx: an object with `meta.error`, a text, or `meta.errors`, a list
  kV2,        // as kV1; 4xx also: an object with `errors`, a list
};

// By the path that the job's request goes to. The answers to a raw job may have any form; a producer that
// wrote `response_type` json expects no page.
Expected ExpectedOf(const Job& job);

// Of an answer with a 2xx or 4xx status; any other is as expected only where anything is. A body that was cut
// is taken for the whole that it may be the beginning of.
bool IsAsExpected(const Answer& answer, Expected expected);

// By its beginning, as the WHATWG's MIME Sniffing Standard tells HTML (section 7.1), or XHTML.
bool LooksLikeHtml(std::string_view body);

// For people, one short line of UTF-8: the title of a page, otherwise the first words of any text; "no body".
std::string DescribeBody(std::string_view body);

}  // namespace outboxd
