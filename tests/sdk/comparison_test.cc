// The comparison itself: it overlooks what outboxd may change and nothing else.
#include "tests/sdk/comparison.h"

#include <doctest/doctest.h>

namespace outboxd {
namespace {

SimRequestSeen Seen(const std::string& method, const std::string& target, const std::string& body,
                    int status = 200) {
  SimRequestSeen request;
  request.method = method;
  request.target = target;
  request.body = body;
  request.status = status;
  if (!body.empty()) request.headers["content-type"] = "application/json";
  return request;
}

constexpr const char* kEvents = "/api/v1/customers/1/events";

std::size_t Count(const SimRequestSeen& direct, const SimRequestSeen& through) {
  return Differences({direct}, {through}).size();
}

TEST_CASE("sdk comparison: stamps, failed attempts and the packing of v2 items make no difference") {
  const SimRequestSeen event = Seen("POST", kEvents, R"({"name": "a", "data": {}})");
  CHECK(Count(event,
              Seen("POST", kEvents, R"({"id":"01KB","timestamp":1800000000,"name": "a", "data": {}})")) == 0);
  CHECK(Count(event,
              Seen("POST", kEvents, R"({"name": "a", "data": {},"id":"01KB","timestamp":1800000000})")) == 0);
  CHECK(Count(Seen("PUT", "/api/v1/customers/1", "{}"),
              Seen("PUT", "/api/v1/customers/1", R"({"_timestamp":1800000000})")) == 0);
  CHECK(Differences({event}, {Seen("POST", kEvents, event.body, 503), event}).empty());
  const SimRequestSeen batch =
      Seen("POST", "/api/v2/batch", R"({"batch":[{"type":"person"},{"type":"object"}]})");
  CHECK(Differences({batch}, {Seen("POST", "/api/v2/entity", R"({"type":"object"})"),
                              Seen("POST", "/api/v2/entity", R"({"id":"01KB","type":"person"})")})
            .empty());
}

TEST_CASE(
    "sdk comparison: a byte, a lost or doubled request and a stamp in the place of the library's own are "
    "noticed") {
  const SimRequestSeen event =
      Seen("POST", kEvents, R"({"name":"a","id":"01JD","timestamp":5,"data":{"x":1.0}})");
  CHECK(Count(event, event) == 0);
  CHECK(Count(event, Seen("POST", kEvents, R"({"name":"a","id":"01JD","timestamp":5,"data":{"x":1}})")) == 2);
  CHECK(Count(event, Seen("POST", kEvents, R"({"name":"a","id":"01KB","timestamp":5,"data":{"x":1.0}})")) ==
        2);
  CHECK(Count(event, Seen("POST", kEvents, R"({"name":"a","id":"01JD","timestamp":6,"data":{"x":1.0}})")) ==
        2);
  CHECK(Count(event, Seen("POST", "/api/v1/customers/%31/events", event.body)) == 2);
  CHECK(Count(event, Seen("PUT", kEvents, event.body)) == 2);
  CHECK(Differences({event}, {}).size() == 1);
  CHECK(Differences({event}, {event, event}).size() == 1);
  SimRequestSeen form = event;
  form.headers["content-type"] = "application/x-www-form-urlencoded";
  CHECK(Count(event, form) == 2);
  form.body.clear();
  CHECK(Count(form, Seen("POST", kEvents, "")) == 2);
  CHECK(Count(Seen("PUT", "/api/v1/customers/1", "null"),
              Seen("PUT", "/api/v1/customers/1", R"({"_timestamp":1800000000})")) == 2);
  CHECK(Count(Seen("DELETE", "/api/v1/customers/1", "{}"), Seen("DELETE", "/api/v1/customers/1", "")) == 2);
}

TEST_CASE(
    "sdk comparison: an event or an identify without its time is noticed, a device or a push metric is not") {
  CHECK(WithoutTime({Seen("POST", kEvents, R"({"name":"a","data":{"timestamp":1}})")}).size() == 1);
  CHECK(WithoutTime({Seen("POST", "/api/v1/events", R"({"name":"a"})")}).size() == 1);
  CHECK(WithoutTime({Seen("PUT", "/api/v1/customers/1", "{}")}).size() == 1);
  CHECK(WithoutTime({Seen("PUT", "/api/v1/customers/1", ""), Seen("PUT", "/api/v1/customers/1", "null")})
            .empty());
  CHECK(WithoutTime({Seen("PUT", "/api/v1/customers/1", R"({"timestamp":1})")}).size() == 1);
  CHECK(WithoutTime({Seen("POST", kEvents, R"({"timestamp":1,"name":"a"})"),
                     Seen("PUT", "/api/v1/customers/1", R"({"_timestamp":1})"),
                     Seen("PUT", "/api/v1/customers/1/devices", "{}"),
                     Seen("POST", "/api/v1/push/events", "{}")})
            .empty());
}

}  // namespace
}  // namespace outboxd
