// tests/core/check_user.h — a function of a file that knows CHECK of core/check.h, not doctest's.
#pragma once

namespace outboxd {

void RequirePositive(int number);

}  // namespace outboxd
