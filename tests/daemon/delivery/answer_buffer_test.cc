#include "daemon/delivery/answer_buffer.h"

#include <doctest/doctest.h>

#include <string>

namespace outboxd {
namespace {

TEST_CASE("answer buffer: a body beyond the bound is counted and dropped, and at last refused") {
  AnswerBuffer buffer;
  CHECK_FALSE(buffer.HasBegun());
  CHECK(buffer.AddBody(std::string(limits::kAnswerBytes - 1, 'a')));
  CHECK(buffer.HasBegun());
  CHECK_FALSE(buffer.IsBodyCut());
  CHECK(buffer.AddBody("bc"));
  CHECK(buffer.BodyBytes() == limits::kAnswerBytes + 1);
  CHECK(buffer.IsBodyCut());
  CHECK(buffer.AddBody(std::string(kDroppedAnswerBytes - 1, 'd')));
  CHECK_FALSE(buffer.IsBodyTooLong());
  CHECK_FALSE(buffer.AddBody("e"));
  CHECK(buffer.IsBodyTooLong());
  CHECK(buffer.TakeBody() == std::string(limits::kAnswerBytes - 1, 'a') + "b");
}

TEST_CASE("answer buffer: the headers of all heads together have a bound") {
  AnswerBuffer buffer;
  CHECK(buffer.AddHeaderLine(std::string(kAnswerHeadBytes - 2, 'h')));
  CHECK(buffer.AddHeaderLine("\r\n"));
  CHECK_FALSE(buffer.AddHeaderLine("x"));
}

TEST_CASE("answer buffer: a head is whole after its empty line, or once there is a body") {
  AnswerBuffer buffer;
  CHECK_FALSE(buffer.HasWholeHead());
  buffer.AddHeaderLine("HTTP/1.1 200 OK\r\n");
  CHECK_FALSE(buffer.HasWholeHead());
  buffer.AddHeaderLine("\r\n");
  CHECK(buffer.HasWholeHead());
  buffer.AddBody("body");
  buffer.AddHeaderLine("Trailer: 1\r\n");
  CHECK(buffer.HasWholeHead());
  buffer.Clear();
  CHECK_FALSE(buffer.HasWholeHead());
  CHECK_FALSE(buffer.HasBegun());
  CHECK(buffer.BodyBytes() == 0);
}

}  // namespace
}  // namespace outboxd
