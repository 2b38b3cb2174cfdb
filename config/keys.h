// config/keys.h — every config key there is. The table in keys.cc has one row a key; reading a config, its
// errors, what needs a restart, and the checks of etc/outboxd.yaml and the manual follow from it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace outboxd {

struct Config;
class ConfigSection;

// When a changed value takes effect.
enum class Effect : std::uint8_t { kReload, kRestart };

enum class KeyKind : std::uint8_t { kValue, kValues, kSection, kSections };  // the plurals are lists

// A key as the manual tells of it.
struct ConfigKey {
  std::string path;           // "limits.line_bytes"; "NAME" stands for a connection's name
  std::string default_value;  // as it is written; empty: there is none, or the key is a section
  std::string allowed;        // "1 to 64", "us or eu"; empty: only words can say it
  Effect effect = Effect::kReload;
  std::string help;  // the remark behind the key in etc/outboxd.yaml
  KeyKind kind = KeyKind::kSection;
  std::string schema = {};  // what a JSON schema says of a value (config/value_type.h)
};

// Every key and section, in the order of etc/outboxd.yaml.
std::vector<ConfigKey> ConfigKeys();

// The keys that differ and that a reload cannot apply, comma-separated; empty when there are none.
std::string NeedsRestart(const Config& before, const Config& after);

// Read a whole file, or only where its sockets are, into `config`, which holds the defaults. What is wrong is
// reported to the section's findings.
void ReadKeys(const ConfigSection& root, Config& config);
void ReadListenKeys(const ConfigSection& root, Config& config);

}  // namespace outboxd
