// outboxctl tls-init: certificates for libraries that speak nothing but HTTPS (docs/libraries.md).
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <ostream>
#include <span>
#include <string>
#include <system_error>

#include "config/acting_as.h"
#include "config/config.h"
#include "config/folder.h"
#include "config/loopback_certificate.h"
#include "config/system_user.h"
#include "core/json.h"
#include "core/result.h"
#include "core/text.h"
#include "ctl/commands.h"
#include "ctl/console.h"
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
    return PrintJson(context.console, writer.String(files.key.string()).EndObject().Text());
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

struct Maker {
  std::uint32_t user = 0;
  std::optional<std::uint32_t> key_owner;  // of the certificate's key, if it is not the maker
};

std::optional<std::uint32_t> OwnerOf(const std::filesystem::path& directory) {
  const Result<Folder> folder = Folder::Open(directory);
  return folder ? std::optional(folder->Status().st_uid) : std::nullopt;
}

// The daemon's user has to read the certificate's key. Whoever owns the directory could put keys of their own
// into it, and would have the authority's key if it were made in their name.
Result<Maker> FindMaker(const std::filesystem::path& directory, Place place, const Result<Config>& config) {
  if (::geteuid() != 0) return Maker{::geteuid(), std::nullopt};
  const std::optional<std::uint32_t> daemon =
      config ? OwnerOf(config->outbox.path.parent_path()) : std::nullopt;
  if (place == Place::kBesideOutbox) return Maker{daemon.value_or(0), std::nullopt};
  std::error_code ignored;
  const bool is_there = std::filesystem::is_directory(directory, ignored);
  const std::uint32_t owner = OwnerOf(is_there ? directory : directory.parent_path()).value_or(0);
  if (owner == 0) return Maker{0, daemon};
  if (owner == daemon) return Maker{owner, std::nullopt};
  const std::string name = UserName(owner);
  return Fail(ErrorKind::kConflict,
              directory.string() + " would be in the hands of " +
                  (name.empty() ? std::to_string(owner) : name) +
                  ": run this as that user, or name a directory of root's or of the outbox's owner");
}

int TlsInit(const Context& context, const std::optional<std::string>& given) {
  const Place place = given ? Place::kElsewhere : Place::kBesideOutbox;
  AssumeCredentialsDirectory();
  const Result<Config> config = LoadConfig(ConfigFile(context.globals));
  if (!given && !config) return Report(context.console, config.error());
  // As the config has to name it.
  const std::filesystem::path directory =
      given ? std::filesystem::absolute(*given).lexically_normal() : LoopbackDirectory(config->outbox.path);
  const Result<Maker> maker = FindMaker(directory, place, config);
  if (!maker) return Report(context.console, maker.error());
  const Result<void> made = [&] {
    const ActingAs user(maker->user);
    return MakeLoopbackCertificate(directory, context.console.clock(), maker->key_owner);
  }();
  if (!made) return Report(context.console, made.error());
  PrintMade(context, directory, place);
  return kExitDone;
}

Action AddTlsInit(CLI::App& command, const Context& context) {
  const auto directory = std::make_shared<std::optional<std::string>>();
  command
      .add_option(
          "--directory", *directory,
          "Where to make them (default: tls beside the config's outbox, where outboxd looks and renews the "
          "certificate; elsewhere the listener needs the keys certificate and key)")
      ->type_name("DIR");
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
