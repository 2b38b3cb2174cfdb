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

TEST_CASE("user turns: the newest of a user can go first, and who may not go keeps his place") {
  UserTurns turns;
  for (std::uint64_t job = 1; job <= 4; ++job) turns.PushBack(job <= 2 ? 1 : 2, Sequence{job});
  turns.PushFront(2, Sequence{5});
  const auto is_second = [](User user) { return user == User(2); };
  CHECK(turns.Pop(UserTurns::End::kNewest, is_second) == Sequence{4});
  CHECK(turns.Pop(UserTurns::End::kOldest, is_second) == Sequence{5});
  CHECK(turns.Pop(UserTurns::End::kOldest, is_second) == Sequence{3});
  CHECK_FALSE(turns.Pop(UserTurns::End::kOldest, is_second));
  CHECK(All(turns) == std::vector<std::uint64_t>{1, 2});
}

TEST_CASE("user turns: what is erased is not named") {
  UserTurns turns;
  for (std::uint64_t job = 1; job <= 3; ++job) turns.PushBack(job == 2 ? 2 : 1, Sequence{job});
  turns.EraseIf([](Sequence sequence) { return sequence != Sequence{3}; });
  CHECK(All(turns) == std::vector<std::uint64_t>{3});
}

}  // namespace
}  // namespace outboxd
