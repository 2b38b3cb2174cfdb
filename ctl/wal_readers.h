// ctl/wal_readers.h — which processes read an outbox at present, as the kernel's table of locks tells. The
// daemon cannot look: opening and closing a file of SQLite's would drop its own locks on it.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <istream>
#include <string>
#include <vector>

namespace outboxd {

struct WalReader {
  pid_t pid = 0;
  std::string command;  // "" where it may not be seen
};

// Of `outbox`, on this machine; nothing where its folder may not be looked into, or the readers live in
// another container.
std::vector<WalReader> FindWalReaders(const std::filesystem::path& outbox);

// Processes with a read mark on the file of this identity, each once, from the text of /proc/locks.
std::vector<pid_t> ReadMarkHolders(std::istream& locks, dev_t device, ino_t inode);

}  // namespace outboxd
