// config/config_schema.h — the JSON schema of the config file, for editors. Follows from the table of keys.
//
// It accepts every config that outboxd accepts, but for keys under their old names. What it cannot say it
// leaves to `outboxd --check`: the range of durations and sizes with a unit, and what has to exist.
#pragma once

#include <string>

namespace outboxd {

std::string ConfigSchema();  // draft 07, as one line of JSON

}  // namespace outboxd
