#include "core/names.h"

#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

namespace outboxd {
namespace {
enum class Sail : std::uint8_t { kMain, kJib, kStorm };
enum class Only : std::uint8_t { kOne };
}  // namespace

template <>
inline constexpr Names<Sail> kNames<Sail>{
    {{Sail::kMain, "mainsail"}, {Sail::kJib, "jib"}, {Sail::kStorm, "storm_jib"}}};
template <>
inline constexpr Names<Only> kNames<Only>{std::array{Names<Only>::Entry{Only::kOne, "one"}}};

TEST_CASE("names: an enum's values are counted by the compiler") {
  CHECK(Names<Sail>::kCount == 3);
  CHECK(Names<Only>::kCount == 1);
  CHECK(kNames<Sail>.size() == 3);
}

TEST_CASE("names: a value has one name, which leads back to it") {
  CHECK(NameOf(Sail::kStorm) == "storm_jib");
  CHECK(kNames<Sail>.Find("storm_jib") == Sail::kStorm);
  CHECK_FALSE(kNames<Sail>.Find("storm"));
  CHECK_FALSE(kNames<Sail>.Find(""));
  CHECK_FALSE(kNames<Sail>.Find("Jib"));
  CHECK(NameOf(Only::kOne) == "one");
}

TEST_CASE("names: iteration goes by the enum's order") {
  std::vector<Sail> values;
  std::vector<std::string_view> names;
  for (const auto& [value, name] : kNames<Sail>) {
    values.push_back(value);
    names.push_back(name);
  }
  CHECK(values == std::vector{Sail::kMain, Sail::kJib, Sail::kStorm});
  CHECK(names == std::vector<std::string_view>{"mainsail", "jib", "storm_jib"});
}

TEST_CASE("names: a list for people") {
  CHECK(ListNames<Sail>() == "mainsail, jib or storm_jib");
  CHECK(ListNames<Sail>("\"") == "\"mainsail\", \"jib\" or \"storm_jib\"");
  CHECK(ListNames<Only>() == "one");
}

TEST_CASE("names: they are known to the compiler") {
  static_assert(NameOf(Sail::kJib) == "jib");
  static_assert(kNames<Sail>.Find("jib") == Sail::kJib);
}

}  // namespace outboxd
