// config/value_type.h — the kinds of values a config key can have: how one is read and checked, and how it is
// written. What `read` refuses says what is allowed and never repeats the text.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "config/values.h"
#include "core/names.h"
#include "core/result.h"
#include "core/time.h"

namespace outboxd {

// Whether a wrong value may be repeated in the message; it may be a secret given under the wrong key.
enum class Echo : std::uint8_t { kShown, kHidden };

template <typename T>
struct ValueType {
  std::function<Result<T>(const std::string&)> read;
  std::function<std::string(const T&)> show;
  std::string allowed;  // "1 to 64", "us or eu"; empty where only words can say it
  Echo echo = Echo::kShown;
  std::string schema = {};  // what a JSON schema says of it: what stands between the braces
};

namespace value_type {

// Of a schema: text that matches `pattern` (of ECMAScript, as JSON has it), or that a variable is put into.
std::string Pattern(const std::string& pattern);

template <typename T>
ValueType<T> Ranged(ValueType<T> type, std::type_identity_t<T> low, std::type_identity_t<T> high) {
  type.allowed = type.show(low) + " to " + type.show(high);
  type.read = [read = type.read, allowed = type.allowed, low, high](const std::string& text) -> Result<T> {
    Result<T> value = read(text);
    if (!value || (*value >= low && *value <= high)) return value;
    return Fail(ErrorKind::kInvalid, "must be from " + allowed);
  };
  return type;
}

ValueType<Milliseconds> Duration(Milliseconds low, Milliseconds high);
ValueType<std::chrono::seconds> WholeSeconds(std::chrono::seconds low, std::chrono::seconds high);
ValueType<std::uint64_t> Size(std::uint64_t low, std::uint64_t high);
ValueType<double> Number(double low, double high);
ValueType<bool> Flag();

std::string WholeNumberSchema(std::uint64_t low, std::uint64_t high);

template <typename T>
ValueType<T> Count(std::type_identity_t<T> low, std::type_identity_t<T> high) {
  const auto read = [](const std::string& text) -> Result<T> {
    ASSIGN_OR_RETURN(const std::uint64_t number, config_values::ReadWholeNumber(text));
    return static_cast<T>(std::min<std::uint64_t>(number, std::numeric_limits<T>::max()));
  };
  ValueType<T> type = {read, [](const T& number) { return std::to_string(number); }, {}};
  type.schema = WholeNumberSchema(low, high);
  return Ranged<T>(std::move(type), low, high);
}

// By the enum's table of names.
template <typename Enum>
ValueType<Enum> Choice() {
  const auto read = [](const std::string& text) -> Result<Enum> {
    if (const std::optional<Enum> value = kNames<Enum>.Find(text)) return *value;
    return Fail(ErrorKind::kInvalid, "must be " + ListNames<Enum>());
  };
  std::string names;
  for (const auto& [value, name] : kNames<Enum>) names.append(names.empty() ? "" : "|").append(name);
  return {read, [](Enum value) { return std::string(NameOf(value)); }, ListNames<Enum>(), Echo::kShown,
          R"("type":"string",)" + Pattern("^(" + names + ")$")};
}

// The absolute path of a file.
inline constexpr std::size_t kPathBytes = 4095;
ValueType<std::filesystem::path> File(std::size_t bytes_max = kPathBytes, Echo echo = Echo::kShown);

// A text that `read` checks, and may change.
ValueType<std::string> Text(std::function<Result<std::string>(const std::string&)> read,
                            Echo echo = Echo::kShown);

ValueType<std::uint32_t> Mode();    // of a file, octal
ValueType<std::string> Group();     // by name or number
ValueType<std::uint32_t> User();    // by name or number
ValueType<std::string> Address();   // an address of this machine, and a port
ValueType<std::string> Loopback();  // an address of this machine only, and a port
ValueType<std::string> HostName();  // without a port

}  // namespace value_type
}  // namespace outboxd
