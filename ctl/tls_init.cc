// outboxctl tls-init: certificates for libraries that speak nothing but HTTPS (docs/libraries.md).
#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <optional>
#include <ostream>
#include <span>
#include <string>

#include "config/config.h"
#include "config/loopback_certificate.h"
#include "core/json.h"
#include "core/result.h"
#include "core/text.h"
#include "ctl/commands.h"
#include "ctl/exit_code.h"
#include "ctl/options.h"

namespace outboxd {
namespace {

// Where outboxd looks by itself, or where the config has to lead it.
enum class Place { kBesideOutbox, kElsewhere };

void PrintHowToListen(std::ostream& out, const LoopbackFiles& files, Place place) {
  if (place == Place::kBesideOutbox) {
    out << "Listen with it:   listen: {track: [{tcp: 127.0.0.1:8443, tls: true}]}, then restart outboxd\n";
    return;
  }
  out << "Listen with it:   listen: {track: [{tcp: 127.0.0.1:8443, certificate: "
      << EscapeForTerminal(files.certificate.string()) << ", key: " << EscapeForTerminal(files.key.string())
      << "}]}, then restart outboxd; its user must be able to read them\n";
}

void PrintMade(const Context& context, const std::filesystem::path& directory, Place place) {
  const LoopbackFiles files(directory);
  const std::string authority = files.authority.string();
  if (context.globals.json) {
    JsonWriter writer;
    writer.Object()
        .Key("authority")
        .String(authority)
        .Key("certificate")
        .String(files.certificate.string())
        .Key("key");
    context.console.out << writer.String(files.key.string()).EndObject().Text() << '\n';
    return;
  }
  const std::string shown = EscapeForTerminal(authority);
  std::ostream& out = context.console.out;
  out << "made in " << EscapeForTerminal(directory.string())
      << ": a private authority for localhost, 127.0.0.1 and ::1, and its certificate\n";
  PrintHowToListen(out, files, place);
  out << "Node.js:          NODE_EXTRA_CA_CERTS=" << shown << '\n'
      << "Python:           REQUESTS_CA_BUNDLE=" << shown << '\n'
      << "Ruby, Go:         SSL_CERT_FILE=" << shown << '\n'
      << (place == Place::kBesideOutbox
              ? "outboxd renews the certificate before it ends; the authority lasts ten years."
              : "outboxd does not renew the certificate here; it ends in a year.")
      << " docs/libraries.md tells more.\n";
}

int TlsInit(const Context& context, const std::optional<std::string>& directory) {
  std::filesystem::path place;
  if (directory) {
    place = std::filesystem::absolute(*directory);  // as the config has to name it
  } else {
    AssumeCredentialsDirectory();
    const Result<Config> config = LoadConfig(ConfigFile(context.globals));
    if (!config) return Report(context.console, config.error());
    place = LoopbackDirectory(config->outbox.path);
  }
  if (Result<void> made = MakeLoopbackCertificate(place, context.console.clock()); !made)
    return Report(context.console, made.error());
  PrintMade(context, place, directory ? Place::kElsewhere : Place::kBesideOutbox);
  return kExitDone;
}

Action AddTlsInit(CLI::App& command, const Context& context) {
  const auto directory = std::make_shared<std::optional<std::string>>();
  command.add_option(
      "--directory", *directory,
      "Where to make them (default: tls beside the config's outbox, where outboxd looks and renews the "
      "certificate; elsewhere the listener needs the keys certificate and key)");
  return Running(context, directory, TlsInit);
}

constexpr Verb kTlsVerbs[] = {
    {"tls-init", "Make a private certificate authority and a loopback certificate for listen.track",
     AddTlsInit}};

}  // namespace

std::span<const Verb> TlsInitVerbs() {
  return kTlsVerbs;
}

}  // namespace outboxd
