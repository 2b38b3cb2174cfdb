// tests/support/await.h — waiting for a condition that another process brings about. Never to make a race go
// away: the deadline only decides when a test has failed.
#pragma once

#include <chrono>
#include <functional>

namespace outboxd {

inline constexpr std::chrono::milliseconds kAwaitPatience = std::chrono::seconds(30);

// Asks until `condition` holds; false when it did not within `timeout`.
bool Await(const std::function<bool()>& condition, std::chrono::milliseconds timeout = kAwaitPatience);

}  // namespace outboxd
