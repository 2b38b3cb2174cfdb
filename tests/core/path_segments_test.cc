#include "core/path_segments.h"

#include <doctest/doctest.h>

#include <chrono>
#include <string>

namespace outboxd {
namespace {

TEST_CASE("path segments: dots are found in whatever spelling, however often it is encoded") {
  for (const std::string path : {
           "/v1/..",
           "/v1/../x",
           "/v1/./x",
           "/v1/.",
           "/v1/%2e%2e/x",
           "/v1/.%2E/x",
           "/v1/..%2f..%2finternal",
           "/v1/..%2F",
           "/v1/x/..%5c..%5cy",
           "/v1/x/..\\y",
           "/v1/%252e%252e/x",
           "/v1/%25252e%25252E/x",
           "/v1/%%32e%%32e/x",
           "/v1/%2%65%2%65/x",
           "/v1/x%252f..%252fy",
           "/v1/..;/x",
           "/v1/..;a=b/x",
           "/v1/..%3b/x",
           "/v1/.;/x",
           "/v1/x/..%00/y",
           "/v1/x/..%20/y",
           "/v1/x/.%09./y",
           "/v1/x/%0d%0a../y",
           "/v1/..%3fx=1",
           "/v1/..%23",
           "/v1/%u002e%u002e/x",
           "/v1/..%u002fx",
           "/v1/%25u002e./x",
           "/v1/%c0%ae%c0%ae/x",
           "/v1/..%c0%afx",
           "/v1/..%c1%9cx",
           "/v1/%e0%80%ae./x",
           "/v1/%f0%80%80%ae./x",
           "/v1/..%f0%80%80%afx",
           "/v1/..%f0%80%81%9cx",
           "..",
           ".",
           "..%2f",
           "a/../b",
           "/..",
       }) {
    CAPTURE(path);
    CHECK(HasDotSegment(path));
  }
}

TEST_CASE("path segments: dots within a name, and names of many dots, are names") {
  for (const std::string path : {"",
                                 "/v1/x",
                                 "/v1/a..b/.../c/.d",
                                 "/v1/x.",
                                 "/v1/x..",
                                 "/v1/..x",
                                 "/v1/x/%2F/y",
                                 "a@example.com",
                                 "john.doe@mail.example.com",
                                 "1.5",
                                 "/v1/x;a=../y",
                                 "/v1/%C3%A9%E0%A4%85.",
                                 "%",
                                 "%2",
                                 ".%2",
                                 "%u002",
                                 "%uff0e",
                                 "\xc3\xa9.",
                                 "...",
                                 "%252e%252e%252e"}) {
    CAPTURE(path);
    CHECK_FALSE(HasDotSegment(path));
  }
}

TEST_CASE("path segments: blank is what has nothing but blanks and controls left") {
  for (const char* text : {"", " ", "\t", "%20", "%2520", "%00", "\x7f", "%0a %09"})
    CHECK(IsBlankWhenDecoded(text));
  for (const char* text : {"a", "1", " a", "%20a", ".", "%", "%2", "\xc3\xa9"})
    CHECK_FALSE(IsBlankWhenDecoded(text));
}

TEST_CASE("path segments: a long path that decodes to another escape at each step takes no time") {
  std::string path = "/v1/";
  while (path.size() < 500'000) path += "%25";
  path += "2e%252e/x";
  const auto begun = std::chrono::steady_clock::now();
  CHECK_FALSE(HasDotSegment(path + "y/..x"));
  CHECK(HasDotSegment("/v1/" + path.substr(4) + "/../"));
  CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds(2));
}

}  // namespace
}  // namespace outboxd
