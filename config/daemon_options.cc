#include "config/daemon_options.h"

#include <CLI/CLI.hpp>
#include <string>

namespace outboxd {

void AddDaemonOptions(CLI::App& app, DaemonOptions& options) {
  app.name("outboxd");
  app.description(
      "outboxd: accepts events for Customer.io on a local socket, keeps them safe on disk, and delivers them "
      "in order.");
  app.add_option("--config", options.config, "The config file")->capture_default_str()->type_name("FILE");
  app.add_flag("--check", options.check,
               "Read the config and the files it names, say what is wrong, and exit");
  app.set_version_flag("--version", std::string("outboxd ") + OUTBOXD_VERSION);
  app.footer("Signals: TERM stops cleanly, HUP reloads the config. Look at the queue with outboxctl.");
}

}  // namespace outboxd
