// outboxctl restore: puts a backup in the place of the outbox, while outboxd does not run.
#include "storage/restore.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <system_error>

#include "config/acting_as.h"
#include "config/config.h"
#include "config/owned_fd.h"
#include "core/result.h"
#include "core/text.h"
#include "ctl/commands.h"
#include "ctl/console.h"
#include "ctl/exit_code.h"
#include "ctl/format.h"
#include "ctl/options.h"

namespace outboxd {
namespace {

// Whose folder it is, his is the outbox: the daemon's user's, not root's.
std::uint32_t OwnerOfPlace(const std::filesystem::path& outbox) {
  struct stat status{};
  if (::stat(outbox.c_str(), &status) == 0) return status.st_uid;
  return ::stat(outbox.parent_path().c_str(), &status) == 0 ? status.st_uid : ::geteuid();
}

int Restore(const Context& context, const std::string& file) {
  const Console& console = context.console;
  AssumeCredentialsDirectory();
  const Result<Config> config = LoadConfig(ConfigFile(context.globals));
  if (!config) return Report(console, config.error());
  const std::filesystem::path& outbox = config->outbox.path;
  const OwnedFd backup(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (backup.get() < 0)
    return Report(console, Error{ErrorKind::kIo, file + ": " + std::generic_category().message(errno), {}});
  const Result<Restored> restored = [&] {
    const ActingAs owner(OwnerOfPlace(outbox));
    return RestoreOutbox(backup.get(), file, outbox);
  }();
  if (!restored) return Report(console, restored.error());
  console.out << FormatBytes(restored->bytes) << " restored to " << EscapeForTerminal(outbox.string()) << ": "
              << Counted(restored->jobs, "waiting job") << ", " << Counted(restored->dead, "dead letter")
              << '\n';
  if (!restored->aside.empty())
    console.out << "The outbox that was there is " << EscapeForTerminal(restored->aside.string()) << '\n';
  return kExitDone;
}

Action AddRestore(CLI::App& restore, const Context& context) {
  const auto file = std::make_shared<std::string>();
  restore.add_option("file", *file, "A file that outboxctl backup made")->required()->type_name("FILE");
  return Running(context, file, Restore);
}

constexpr Verb kRestoreVerbs[] = {
    {"restore", "Put a backup in the place of the outbox; outboxd must not run", AddRestore}};

}  // namespace

std::span<const Verb> RestoreVerbs() {
  return kRestoreVerbs;
}

}  // namespace outboxd
