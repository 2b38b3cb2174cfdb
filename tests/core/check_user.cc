#include "tests/core/check_user.h"

#include "core/check.h"

namespace outboxd {

void RequirePositive(int number) {
  CHECK(number > 0);
}

}  // namespace outboxd
