// tests/daemon/admin/admin_rig.h — the admin API over a fake daemon and a real outbox file.
#pragma once

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "core/json.h"
#include "daemon/admin/api.h"
#include "tests/support/fake_control.h"
#include "tests/support/outbox_rows.h"

namespace outboxd::test {

using Numbers = std::vector<std::int64_t>;
inline constexpr Timestamp kNow = FromUnixMs(100'000);

struct Api {
  Api() {
    control.status.now = kNow;
    control.status.started = FromUnixMs(1'000);
    ConnectionStatus connection;
    connection.name = "default";
    connection.base_url = "https://track.customer.io";
    connection.region = "us";
    connection.limit = 8;
    connection.max_in_flight = 256;
    connection.rate_limit = 1'000;
    connection.jobs = 10;
    connection.in_flight = 2;
    connection.deferred = 1;
    connection.blocked = 3;
    connection.dead = 4;
    connection.oldest = FromUnixMs(500);
    control.status.connections.push_back(connection);
  }

  HttpResponse Ask(std::string_view method, std::string_view target, std::string_view body = {}) {
    HttpRequestView request;
    request.method = method;
    const std::size_t question_mark = target.find('?');
    request.path = target.substr(0, question_mark);
    if (question_mark != std::string_view::npos) request.query = target.substr(question_mark + 1);
    request.body = body;
    return api.Handle(request);
  }
  JsonValue Json(std::string_view method, std::string_view target, std::string_view body = {},
                 unsigned status = 200) {
    const HttpResponse answer = Ask(method, target, body);
    INFO(method << " " << target << " " << body << " -> " << answer.body);
    CHECK(answer.status == status);
    CHECK(std::string_view(answer.content_type) == "application/json");
    const auto json = JsonValue::Parse(answer.body);
    REQUIRE(json);
    return *json;
  }
  JsonValue Get(std::string_view target, unsigned status = 200) { return Json("GET", target, {}, status); }
  Numbers Listed(std::string_view target) {
    Numbers sequences;
    for (const JsonValue& row : Get(target)["rows"].Items()) sequences.push_back(row["seq"].Int());
    return sequences;
  }
  std::string ErrorField(std::string_view method, std::string_view target, std::string_view body = {}) {
    const JsonValue error = Json(method, target, body, 400)["error"];
    CHECK(error["kind"].String() == "invalid");
    CHECK_FALSE(error["message"].String().empty());
    return error["field"].String();
  }
  std::string Explanation(std::uint64_t sequence) {
    return Get("/v1/jobs/" + OutboxRows::JobId(sequence) + "/explain")["explanation"].String();
  }
  GateSnapshot& Gate() { return control.status.connections[0].gate; }

  OutboxRows rows;
  FakeControl control;
  Metrics metrics;
  AdminApi api{rows.File(), control, metrics, [] { return kNow; }};
};

inline OutboxLine Line(std::uint64_t sequence) {
  OutboxLine line;
  line.sequence = sequence;
  return line;
}

inline DeadLine Dead(std::uint64_t sequence) {
  DeadLine dead;
  dead.sequence = sequence;
  return dead;
}

}  // namespace outboxd::test
