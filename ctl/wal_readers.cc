#include "ctl/wal_readers.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/types.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <istream>
#include <sstream>
#include <string>
#include <vector>

namespace outboxd {
namespace {

// Bytes of the -shm file, from SQLite's file format: a reader holds a shared lock on one of them for as long
// as its transaction lasts.
constexpr std::uint64_t kFirstReadMark = 123;
constexpr std::uint64_t kLastReadMark = 127;

}  // namespace

// "1: POSIX  ADVISORY  READ 4711 fe:01:262158 124 124"
std::vector<pid_t> ReadMarkHolders(std::istream& locks, dev_t device, ino_t inode) {
  std::array<char, 64> file{};
  std::snprintf(file.data(), file.size(), "%02x:%02x:%llu", major(device), minor(device),
                static_cast<unsigned long long>(inode));
  std::vector<pid_t> holders;
  for (std::string line; std::getline(locks, line);) {
    std::istringstream words(line);
    std::string number, type, advisory, mode, identity;
    pid_t pid = 0;
    std::uint64_t first = 0;
    if (!(words >> number >> type >> advisory >> mode >> pid >> identity >> first)) continue;
    if (type != "POSIX" || mode != "READ" || pid <= 0 || identity != file.data()) continue;
    if (first < kFirstReadMark || first > kLastReadMark) continue;
    if (std::find(holders.begin(), holders.end(), pid) == holders.end()) holders.push_back(pid);
  }
  return holders;
}

std::vector<WalReader> FindWalReaders(const std::filesystem::path& outbox) {
  struct stat status{};
  if (::stat((outbox.string() + "-shm").c_str(), &status) != 0) return {};
  std::ifstream locks("/proc/locks");
  std::vector<WalReader> readers;
  for (const pid_t pid : ReadMarkHolders(locks, status.st_dev, status.st_ino)) {
    WalReader& reader = readers.emplace_back(WalReader{pid, {}});
    std::ifstream name("/proc/" + std::to_string(pid) + "/comm");
    std::getline(name, reader.command);
  }
  return readers;
}

}  // namespace outboxd
