// config/key_row.h — what config/keys.cc writes its table in: a row for each key of a section, bound to the
// member it sets. `Owner` is the struct that the section's keys are members of.
//
// What a row reads stays as it was, the default, when the key is absent or its value (reported) wrong.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "config/keys.h"
#include "config/section.h"
#include "config/value_type.h"
#include "core/result.h"

namespace outboxd {

template <typename Owner>
struct KeyRow {
  std::string name;
  std::function<void(const ConfigSection&, Owner&)> read;
  // Appends the key, and for a section those in it. `prefix` stands before the name.
  std::function<void(const Owner& defaults, const std::string& prefix, std::vector<ConfigKey>&)> describe;
  // Appends the paths of keys that need a restart and differ.
  std::function<void(const Owner&, const Owner&, const std::string& prefix, std::vector<std::string>&)>
      compare;
};

template <typename Owner>
using KeyRows = std::vector<KeyRow<Owner>>;

template <typename Owner>
struct SectionKeys {
  KeyRows<Owner> rows;
  // What must hold between the keys; called when all are read.
  std::function<void(const ConfigSection&, Owner&)> check = nullptr;
};

template <typename Owner>
void ReadSection(const ConfigSection& section, const SectionKeys<Owner>& keys, Owner& out) {
  std::vector<std::string> names;
  for (const KeyRow<Owner>& row : keys.rows) {
    row.read(section, out);
    names.push_back(row.name);
  }
  if (keys.check) keys.check(section, out);
  section.RefuseOthers(names);
}

template <typename T>
std::optional<T> ReadValue(const ConfigSection& section, const std::string& key, const ConfigText& text,
                           const ValueType<T>& type) {
  Result<T> value = type.read(text.text);
  if (value) return std::move(*value);
  if (type.echo == Echo::kShown) {
    section.WrongValue(key, value.error().message, text.written);
  } else {
    section.Problem(key, value.error().message);
  }
  return std::nullopt;
}

template <typename T>
void ReadInto(const ConfigSection& section, const std::string& key, const ValueType<T>& type, T& out) {
  if (const std::optional<ConfigText> text = section.Text(key)) {
    if (std::optional<T> value = ReadValue(section, key, *text, type)) out = std::move(*value);
  }
}

template <typename T>
void ReadInto(const ConfigSection& section, const std::string& key, const ValueType<T>& type,
              std::optional<T>& out) {
  if (const std::optional<ConfigText> text = section.Text(key)) {
    if (std::optional<T> value = ReadValue(section, key, *text, type)) out = std::move(value);
  }
}

template <typename T>
void ReadInto(const ConfigSection& section, const std::string& key, const ValueType<T>& type,
              std::vector<T>& out) {
  std::vector<T> values;
  for (const ConfigText& text : section.Texts(key)) {
    std::optional<T> value = ReadValue(section, key, text, type);
    if (!value) return;
    values.push_back(std::move(*value));
  }
  if (!values.empty()) out = std::move(values);
}

template <typename T>
std::string Shown(const ValueType<T>& type, const T& value) {
  return type.show(value);
}
template <typename T>
std::string Shown(const ValueType<T>& type, const std::optional<T>& value) {
  return value ? type.show(*value) : "";
}
template <typename T>
std::string Shown(const ValueType<T>&, const std::vector<T>&) {
  return "";  // no list has a default
}

template <typename Member>
inline constexpr KeyKind kKindOf = KeyKind::kValue;
template <typename T>
inline constexpr KeyKind kKindOf<std::vector<T>> = KeyKind::kValues;

// A key with a value: of a member, an optional one, or a list.
template <typename Owner, typename Member, typename T>
KeyRow<Owner> Key(const std::string& name, Member Owner::* member, const ValueType<T>& type, Effect effect,
                  const std::string& help) {
  KeyRow<Owner> row{name, {}, {}, {}};
  row.read = [=](const ConfigSection& section, Owner& out) { ReadInto(section, name, type, out.*member); };
  row.describe = [=](const Owner& defaults, const std::string& prefix, std::vector<ConfigKey>& keys) {
    keys.push_back({prefix + name, Shown(type, defaults.*member), type.allowed, effect, help, kKindOf<Member>,
                    type.schema});
  };
  row.compare = [=](const Owner& before, const Owner& after, const std::string& prefix,
                    std::vector<std::string>& changed) {
    if (effect == Effect::kRestart && before.*member != after.*member) changed.push_back(prefix + name);
  };
  return row;
}

// A key that has another name now: still read, and no longer told of.
template <typename Owner>
KeyRow<Owner> Renamed(KeyRow<Owner> row) {
  row.describe = [](const Owner&, const std::string&, std::vector<ConfigKey>&) {};
  return row;
}

// A section inside a section. `place` is a pointer to its struct's member; std::identity() when its keys are
// members of the owner itself.
template <typename Owner, typename Inner, typename Place>
KeyRow<Owner> Section(const std::string& name, Place place, const SectionKeys<Inner>& inner,
                      const std::string& help) {
  KeyRow<Owner> row{name, {}, {}, {}};
  row.read = [=](const ConfigSection& section, Owner& out) {
    ReadSection<Inner>(section.Child(name), inner, std::invoke(place, out));
  };
  row.describe = [=](const Owner& defaults, const std::string& prefix, std::vector<ConfigKey>& keys) {
    keys.push_back({prefix + name, {}, {}, Effect::kReload, help});
    for (const KeyRow<Inner>& key : inner.rows)
      key.describe(std::invoke(place, defaults), prefix + name + ".", keys);
  };
  row.compare = [=](const Owner& before, const Owner& after, const std::string& prefix,
                    std::vector<std::string>& changed) {
    for (const KeyRow<Inner>& key : inner.rows)
      key.compare(std::invoke(place, before), std::invoke(place, after), prefix + name + ".", changed);
  };
  return row;
}

// A list of mappings, which a reload applies as a whole or not at all.
template <typename Owner, typename Inner>
KeyRow<Owner> ListOf(const std::string& name, std::vector<Inner> Owner::* member,
                     const SectionKeys<Inner>& inner, Effect effect, const std::string& help) {
  KeyRow<Owner> row{name, {}, {}, {}};
  row.read = [=](const ConfigSection& section, Owner& out) {
    for (const ConfigSection& element : section.Elements(name))
      ReadSection<Inner>(element, inner, (out.*member).emplace_back());
  };
  row.describe = [=](const Owner&, const std::string& prefix, std::vector<ConfigKey>& keys) {
    keys.push_back({prefix + name, {}, {}, effect, help, KeyKind::kSections});
    for (const KeyRow<Inner>& key : inner.rows) key.describe(Inner(), prefix + name + ".", keys);
  };
  row.compare = [=](const Owner& before, const Owner& after, const std::string& prefix,
                    std::vector<std::string>& changed) {
    if (effect == Effect::kRestart && before.*member != after.*member) changed.push_back(prefix + name);
  };
  return row;
}

// Keys of a member, written in the owner's own section.
template <typename Owner, typename Inner>
KeyRows<Owner> Lifted(Inner Owner::* member, const KeyRows<Inner>& rows) {
  KeyRows<Owner> lifted;
  for (const KeyRow<Inner>& key : rows) {
    KeyRow<Owner>& row = lifted.emplace_back(KeyRow<Owner>{key.name, {}, {}, {}});
    row.read = [=](const ConfigSection& section, Owner& out) { key.read(section, out.*member); };
    row.describe = [=](const Owner& defaults, const std::string& prefix, std::vector<ConfigKey>& keys) {
      key.describe(defaults.*member, prefix, keys);
    };
    row.compare = [=](const Owner& before, const Owner& after, const std::string& prefix,
                      std::vector<std::string>& changed) {
      key.compare(before.*member, after.*member, prefix, changed);
    };
  }
  return lifted;
}

template <typename Owner>
KeyRows<Owner> operator+(KeyRows<Owner> left, KeyRows<Owner> right) {
  for (KeyRow<Owner>& row : right) left.push_back(std::move(row));
  return left;
}

}  // namespace outboxd
