// config/daemon_options.h — the command line of outboxd: for outboxd itself, and for outboxctl, which
// completes it.
#pragma once

#include <string>

#include "config/config.h"

namespace CLI {
class App;
}

namespace outboxd {

struct DaemonOptions {
  std::string config{kDefaultConfigPath};
  bool check = false;
};

// Both outlive `app`'s parsing.
void AddDaemonOptions(CLI::App& app, DaemonOptions& options);

}  // namespace outboxd
