// tests/support/fault_vfs.h — a SQLite VFS over the default one that fails on command, and a disk that
// forgets on command.
//
// Faults: the n-th call that changes the disk (open, write, sync, truncate, delete; counted from Arm())
// fails, that one alone or all from then on. A failing write leaves its first half behind, as a full disk
// does. Reads are counted and fail apart (FailReadAt()).
// Power: of every file the content that was synced and each later change are kept. CutPowerAt(n) makes every
// call from the n-th on fail without effect; Rebuild() then writes the files as a disk could hold them: all
// that was synced, and of the rest nothing or any part, sector by sector. A file is on the disk once it was
// synced (SQLite syncs its directory with it). Recover() does so in place, and the disk works again; with
// kKept it was the process that ended, and the disk forgets nothing.
//
// SQLite's own randomness (the salts of its log) comes from the seed, so that a run can be repeated byte for
// byte. While a FaultVfs lives it is the default VFS of the process. It syncs nothing for real. One thread;
// close every database before it goes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

struct sqlite3_vfs;

namespace outboxd::test {

enum class FaultKind { kIo, kFull };
enum class FaultSpan { kOnce, kFromThenOn };
enum class Unsynced { kForgotten, kTorn, kKept };

class FaultVfs {
 public:
  explicit FaultVfs(std::uint64_t seed = 1);
  ~FaultVfs();
  FaultVfs(const FaultVfs&) = delete;
  FaultVfs& operator=(const FaultVfs&) = delete;

  void Arm(std::uint64_t call, FaultKind kind, FaultSpan span);
  void FailReadAt(std::uint64_t read);  // that one alone
  void CutPowerAt(std::uint64_t call);
  void Heal();
  bool HasFired() const { return has_fired_; }

  // The files of `from` as the disk holds them after a power cut, into the folder `to`.
  void Rebuild(const std::filesystem::path& from, const std::filesystem::path& to, Unsynced unsynced,
               std::uint64_t seed) const;

  // The same in the folder itself. Every database in it was closed after the power was cut.
  void Recover(const std::filesystem::path& folder, Unsynced unsynced, std::uint64_t seed);

  // For the shim: counts a call, and the SQLite code with which it is to fail (0: it goes on).
  int Count(int io_code);
  int CountRead();
  bool IsPowerCut() const { return power_cut_; }
  std::uint64_t Random() { return random_(); }
  struct Change {
    std::uint64_t offset = 0;
    std::string bytes;
    std::optional<std::uint64_t> size;  // a truncation
  };
  struct File {
    bool on_disk = false;
    std::string synced;
    std::vector<Change> changes;
    std::uint64_t writes = 0;  // calls
  };
  std::map<std::string, File>& files() { return files_; }
  sqlite3_vfs* real() const { return real_; }

 private:
  class Shim;
  // What the disk holds of `file` after a power cut; nullopt: it is not there.
  static std::optional<std::string> Held(const File& file, Unsynced unsynced, std::mt19937_64& random);
  sqlite3_vfs* real_ = nullptr;  // which was the default
  std::unique_ptr<Shim> shim_;
  std::mt19937_64 random_;
  std::map<std::string, File> files_;  // by path
  std::uint64_t calls_ = 0;
  std::uint64_t reads_ = 0;
  std::optional<std::uint64_t> fail_at_, fail_read_at_;
  FaultKind kind_ = FaultKind::kIo;
  FaultSpan span_ = FaultSpan::kOnce;
  bool power_cut_ = false;
  bool cuts_power_ = false;
  bool has_fired_ = false;
};

}  // namespace outboxd::test
