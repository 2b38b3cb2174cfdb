#include "daemon/delivery/user_turns.h"

#include <doctest/doctest.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "core/ulid.h"

namespace outboxd {
namespace {

std::vector<std::uint64_t> All(UserTurns& turns) {
  std::vector<std::uint64_t> numbers;
  while (const std::optional<Sequence> next = turns.Pop()) numbers.push_back(ToNumber(*next));
  return numbers;
}

TEST_CASE("user turns: users take turns, the jobs of one keep their order") {
  UserTurns turns;
  for (std::uint64_t job = 1; job <= 4; ++job) turns.PushBack(1000, Sequence{job});
  turns.PushBack(1001, Sequence{5});
  turns.PushBack(std::nullopt, Sequence{6});
  turns.PushBack(1001, Sequence{7});
  CHECK(All(turns) == std::vector<std::uint64_t>{6, 1, 5, 2, 7, 3, 4});
  CHECK(turns.empty());
}

TEST_CASE("user turns: one who comes again does not come before those that wait") {
  UserTurns turns;
  turns.PushBack(1, Sequence{1});
  turns.PushBack(2, Sequence{2});
  CHECK(turns.Pop() == Sequence{1});
  turns.PushBack(1, Sequence{3});
  CHECK(All(turns) == std::vector<std::uint64_t>{2, 3});
}

TEST_CASE("user turns: what is erased is not named") {
  UserTurns turns;
  for (std::uint64_t job = 1; job <= 3; ++job) turns.PushBack(job == 2 ? 2 : 1, Sequence{job});
  turns.EraseIf([](Sequence sequence) { return sequence != Sequence{3}; });
  CHECK(All(turns) == std::vector<std::uint64_t>{3});
}

}  // namespace
}  // namespace outboxd
