// core/names.h — the one table of an enum's names: as they stand in messages, in JSON and on disk.
//
// Beside the enum:
//     template <>
//     inline constexpr Names<Region> kNames<Region>{{{Region::kUs, "us"}, {Region::kEu, "eu"}}};
// In use:
//     NameOf(region), kNames<Region>.Find(text)
//     for (const auto& [region, name] : kNames<Region>)
//
// A value that is missing from the table or out of order does not compile. The enum counts from 0 without
// gaps.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace outboxd {

namespace names_detail {

// Compilers write a template argument that no enumerator names as "(Region)2".
template <auto kValue>
constexpr bool IsEnumerator() {
  const std::string_view signature = __PRETTY_FUNCTION__;
  return signature[signature.find("kValue = ") + 9] != '(';
}

template <typename Enum, std::size_t kFrom = 0>
constexpr std::size_t CountOf() {
  if constexpr (IsEnumerator<static_cast<Enum>(kFrom)>()) {
    return CountOf<Enum, kFrom + 1>();
  } else {
    return kFrom;
  }
}

}  // namespace names_detail

template <typename Enum>
class Names {
 public:
  struct Entry {
    Enum value;
    std::string_view name;
  };
  static constexpr std::size_t kCount = names_detail::CountOf<Enum>();

  template <std::size_t kGiven>
  consteval Names(const Entry (&entries)[kGiven]) : Names(std::to_array(entries)) {}
  template <std::size_t kGiven>
  consteval explicit Names(const std::array<Entry, kGiven>& entries) {
    static_assert(kGiven == kCount, "each value of the enum has one name");
    for (std::size_t index = 0; index < kCount; ++index) {
      if (entries[index].value != static_cast<Enum>(index)) throw "the names are not in the enum's order";
      for (std::size_t before = 0; before < index; ++before) {
        if (entries[before].name == entries[index].name) throw "two values have the same name";
      }
    }
    entries_ = entries;
  }

  constexpr std::string_view Of(Enum value) const { return entries_[static_cast<std::size_t>(value)].name; }

  constexpr std::optional<Enum> Find(std::string_view name) const {
    for (const Entry& entry : entries_) {
      if (entry.name == name) return entry.value;
    }
    return std::nullopt;
  }

  // In the enum's order.
  constexpr auto begin() const { return entries_.begin(); }
  constexpr auto end() const { return entries_.end(); }
  static constexpr std::size_t size() { return kCount; }

 private:
  std::array<Entry, kCount> entries_{};
};

// Specialised beside each enum that has names.
template <typename Enum>
inline constexpr Names<Enum> kNames;

template <typename Enum>
constexpr std::string_view NameOf(Enum value) {
  return kNames<Enum>.Of(value);
}

// For people: "us or eu", each between `quote`.
template <typename Enum>
std::string ListNames(std::string_view quote = {}) {
  std::string text;
  for (const auto& [value, name] : kNames<Enum>) {
    const auto index = static_cast<std::size_t>(value);
    if (index > 0) text += index + 1 == kNames<Enum>.size() ? " or " : ", ";
    text.append(quote).append(name).append(quote);
  }
  return text;
}

}  // namespace outboxd
