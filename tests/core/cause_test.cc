#include "core/cause.h"

#include <doctest/doctest.h>

#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace outboxd {
namespace {

TEST_CASE("cause: equal causes become equal texts") {
  struct Case {
    std::string_view reason;
    std::string_view body;
    std::string_view cause;
  };
  const std::vector<Case> cases = {
      {"400 Bad Request", "", "400 Bad Request"},
      {"400 Bad Request", " \n", "400 Bad Request"},
      {"400", "x", "400: x"},
      {"", "too bad", "too bad"},
      {"4000 bad things", "", "# bad things"},
      {"connect to 127.0.0.1 port 9000 after 12 ms", "", "connect to #.#.#.# port # after # ms"},
      {"400 Bad Request", R"({"meta":{"error":"id 4711 is too long"}})",
       R"(400 Bad Request: {"meta":{"error":"id # is too long"}})"},
      {"400 Bad Request", R"({"meta":{"error":"no such plan \"pro 7\""}})",
       R"(400 Bad Request: {"meta":{"error":"no such plan <value>"}})"},
      {"404 Not Found", "no customer \"a b c\" here", "404 Not Found: no customer <value> here"},
      {"404 Not Found", "no customer 'a b c', sorry", "404 Not Found: no customer <value>, sorry"},
      {"404 Not Found", "it can't be and won't be", "404 Not Found: it can't be and won't be"},
      {"404 Not Found", "an \"open quote", "404 Not Found: an \"open quote"},
      {"400 Bad Request", "event 01JDB3T0C5W7X8Y9Z0ABCDEFGH seen", "400 Bad Request: event # seen"},
      {"400 Bad Request", "event 01jdb3t0c5w7x8y9z0abcdefgh seen", "400 Bad Request: event # seen"},
      {"400 Bad Request", "trace 4bf92f3577b34da6", "400 Bad Request: trace #"},
      {"400 Bad Request", "trace 123e4567-e89b-12d3-a456-426614174000.", "400 Bad Request: trace #."},
      {"400 Bad Request", "trace customer_4bf92f3577b34da6", "400 Bad Request: trace customer_#"},
      {"400 Bad Request", "deadbeef and facade stay", "400 Bad Request: deadbeef and facade stay"},
      {"400 Bad Request", "mail jane.doe+x@example.com is taken", "400 Bad Request: mail <email> is taken"},
      {"400 Bad Request", "mail a@b.", "400 Bad Request: mail <email>."},
      {"400 Bad Request", "\ttwo\r\n\n  lines\x01", "400 Bad Request: two lines"},
  };
  for (const Case& one : cases) {
    CAPTURE(one.body);
    CHECK(NormaliseCause(one.reason, one.body) == one.cause);
  }
}

TEST_CASE("cause: long answers are cut, never inside a character") {
  CHECK(NormaliseCause("400 Bad Request", std::string(70'000, 'x')).size() == kCauseBytes);
  CHECK(NormaliseCause(std::string(70'000, 'x'), "y").size() == kCauseBytes);
  CHECK(NormaliseCause("400 Bad Request", std::string(70'000, '7')) == "400 Bad Request: #");
  for (std::size_t shift = 0; shift < 4; ++shift) {
    std::string body(shift, '-');
    while (body.size() < 1000) body += "\xf0\x9f\x92\xa5";
    const std::string cause = NormaliseCause("", body);
    CHECK(cause.size() <= kCauseBytes);
    CHECK((cause.size() - shift) % 4 == 0);
  }
}

TEST_CASE("cause: any bytes are taken, and the length stays bounded") {
  const unsigned seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  constexpr std::string_view kBytes = "a1'\"\\`@.- \n{[\xc3\xa9\xff";
  for (int i = 0; i < 20'000; ++i) {
    std::string body;
    for (std::size_t length = random() % 400; length > 0; --length) body += kBytes[random() % kBytes.size()];
    REQUIRE(NormaliseCause("400 Bad Request", body).size() <= kCauseBytes);
  }
}

}  // namespace
}  // namespace outboxd
