#include "daemon/base/current_config.h"

#include <doctest/doctest.h>

namespace outboxd {
namespace {

TEST_CASE("current config: whoever holds the old one keeps it, whoever asks again gets the new one") {
  Config first;
  first.workers = 1;
  CurrentConfig config(first);
  const auto held = config.Get();
  Config second;
  second.workers = 2;
  config.Replace(second);
  CHECK(held->workers == 1);
  CHECK(config.Get()->workers == 2);
}

}  // namespace
}  // namespace outboxd
