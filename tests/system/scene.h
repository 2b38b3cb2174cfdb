// tests/system/scene.h — what the system tests share: lines of jobs, and questions to the daemon and the
// simulated API.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/daemon_under_test.h"
#include "tests/support/sanitized.h"
#include "tests/support/sim_under_test.h"

namespace outboxd {

inline constexpr std::chrono::milliseconds kLongPatience = std::chrono::minutes(kSanitized ? 5 : 2);

// Text as a JSON string; also a YAML value that needs no further thought.
std::string Quoted(std::string_view text);

// A track job whose data has the member n, which the simulated API checks for order and repetition.
std::string Event(std::string_view customer, std::int64_t n);
std::string EventWithId(std::string_view customer, std::int64_t n, std::string_view event_id);
// The n-th of many ULIDs.
std::string EventId(std::uint64_t n);
// n lines of `customers` customers in turn, each customer's numbered 1, 2, …
std::vector<std::string> ManyEvents(std::size_t count, std::size_t customers, std::string_view prefix = "c");
std::string Joined(const std::vector<std::string>& lines);

// Sends the lines over one connection, many at a time; the replies in their order.
std::vector<JsonValue> SubmitAll(LineClient& producer, const std::vector<std::string>& lines);
// The same for lines that all have to be accepted; their job ids.
std::vector<std::string> AcceptAll(const DaemonUnderTest& daemon, const std::vector<std::string>& lines);

JsonValue Parsed(std::string_view json);
// One object a line.
std::vector<JsonValue> ParsedLines(std::string_view text);
// GET of the admin API, which has to answer 200.
JsonValue Get(DaemonUnderTest& daemon, std::string_view target);
std::vector<JsonValue> Rows(DaemonUnderTest& daemon, std::string_view target);
std::vector<JsonValue> AttemptsOf(DaemonUnderTest& daemon, std::string_view job);
// The dead letter of `job`, once it is there.
JsonValue AwaitDead(DaemonUnderTest& daemon, std::string_view job);
// Until `count` attempts of `job` are recorded.
void AwaitAttempts(DaemonUnderTest& daemon, std::string_view job, std::size_t count);

// Requests other than the credential and region probes.
std::vector<SimRequestSeen> JobRequests(SimUnderTest& sim);
// The one request there was.
SimRequestSeen OnlyRequest(SimUnderTest& sim);

// Fails the test when the simulated API saw a broken order, two requests of a customer at once, an effect
// twice or a malformed request.
void CheckFlawless(const SimReport& report);
// The customer's events arrived as 1, 2, … count.
void CheckNumbered(SimUnderTest& sim, std::string_view customer, std::int64_t count);

// Config of one more connection.
ConfigValues ConnectionConfigOf(const std::string& name, const SimUnderTest& sim);

}  // namespace outboxd
