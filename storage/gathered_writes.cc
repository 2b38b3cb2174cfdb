#include "storage/gathered_writes.h"

#include <sqlite3.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "core/check.h"

namespace outboxd {
namespace {

constexpr std::int64_t kRunBytes = 0x1ffff;  // longer ones would be cut by SQLite's VFS for Unix

// What is written by calls of 8 kB and more Linux may keep in memory in large pieces (folios), and takes each
// of these for written as a whole when a page of it changes later. So only runs that are worth it go by such.
constexpr std::int64_t kLongRunBytes = 64 * 1024;
constexpr std::int64_t kKernelPageBytes = 4096;

// Of what is left of a run: whole pages of the main file, so that no sector is written in parts.
std::int64_t CallBytes(std::int64_t run_bytes, std::int64_t left) {
  if (run_bytes >= kLongRunBytes || left < 2 * kKernelPageBytes) return left;
  return kKernelPageBytes;
}

// SQLite's locks in the wal-index (https://sqlite.org/walformat.html).
constexpr int kWriteLock = 0;
constexpr int kCheckpointLock = 1;
constexpr int kFirstReadLock = 3;  // of those who read the main file alone

// Consecutive bytes that the file below does not have yet.
class Run {
 public:
  bool IsEmpty() const { return length_ == 0; }
  void Clear() { length_ = 0; }
  bool Overlaps(std::int64_t length, std::int64_t offset) const {
    return offset < begin_ + length_ && begin_ < offset + length;
  }
  // False: they do not continue it, or there is no room.
  bool Add(const void* bytes, std::int64_t length, std::int64_t offset);
  // Empty afterwards, also when that fails.
  int HandOn(sqlite3_file* below);

 private:
  std::unique_ptr<char[]> bytes_;
  std::int64_t begin_ = 0, length_ = 0;
};

bool Run::Add(const void* bytes, std::int64_t length, std::int64_t offset) {
  if (!bytes_) bytes_.reset(new (std::nothrow) char[kRunBytes]);
  if (!bytes_) return false;
  if (IsEmpty()) begin_ = offset;
  const std::int64_t at = offset - begin_;
  if (at < 0 || at > length_ || at + length > kRunBytes) return false;
  std::memcpy(bytes_.get() + at, bytes, static_cast<std::size_t>(length));
  length_ = std::max(length_, at + length);
  return true;
}

int Run::HandOn(sqlite3_file* below) {
  const std::int64_t length = std::exchange(length_, 0);
  for (std::int64_t at = 0; at < length;) {
    const std::int64_t call = CallBytes(length, length - at);
    const int failed = below->pMethods->xWrite(below, bytes_.get() + at, static_cast<int>(call), begin_ + at);
    if (failed != SQLITE_OK) return failed;
    at += call;
  }
  return SQLITE_OK;
}

// What SQLite allocates for an open file: one of these, followed by the file of the VFS below.
struct GatheredFile : sqlite3_file {
  sqlite3_file* below = nullptr;
  Run run;
  int HandOn() { return run.HandOn(below); }
};

struct WalFile;

struct DatabaseFile : GatheredFile {
  WalFile* wal = nullptr;
  bool syncs_commits = false;     // PRAGMA synchronous = FULL or EXTRA was seen
  bool is_writing = false;        // has the lock for it
  bool leaves_frames = false;     // the checkpoint under way will not take over all of them
  bool is_checkpointing = false;  // pages are gathered
  bool told_failure = false;      // SQLite knows that this checkpoint failed
  int late_failure = SQLITE_OK;   // of its last run: to be told by the next call
};

struct WalFile : GatheredFile {
  DatabaseFile* database = nullptr;
  bool is_powersafe = false;
  int failure = SQLITE_OK;  // bytes of the transaction under way are lost

  bool Gathers() const {
    return is_powersafe && database != nullptr && database->syncs_commits && database->is_writing;
  }
};

constexpr std::size_t kAlignment = alignof(std::max_align_t);
constexpr std::size_t kOursBytes =
    (std::max(sizeof(DatabaseFile), sizeof(WalFile)) + kAlignment - 1) / kAlignment * kAlignment;

DatabaseFile& DatabaseOf(sqlite3_file* file) {
  return *static_cast<DatabaseFile*>(file);
}
WalFile& WalOf(sqlite3_file* file) {
  return *static_cast<WalFile*>(file);
}
sqlite3_file* Below(sqlite3_file* file) {
  return static_cast<GatheredFile*>(file)->below;
}

int WriteGathering(GatheredFile& file, const void* bytes, int length, sqlite3_int64 offset) {
  if (file.run.Add(bytes, length, offset)) return SQLITE_OK;
  if (const int failed = file.HandOn(); failed != SQLITE_OK) return failed;
  if (file.run.Add(bytes, length, offset)) return SQLITE_OK;
  return file.below->pMethods->xWrite(file.below, bytes, length, offset);
}

// --- The WAL

int HandOnWal(WalFile& wal) {
  if (wal.failure == SQLITE_OK) wal.failure = wal.HandOn();
  return wal.failure;
}

int CloseWal(sqlite3_file* file) {
  WalFile& wal = WalOf(file);
  sqlite3_file* below = wal.below;
  if (wal.database != nullptr) wal.database->wal = nullptr;
  wal.~WalFile();  // what may be left in its run was rolled back
  return below->pMethods->xClose(below);
}

int ReadWal(sqlite3_file* file, void* buffer, int length, sqlite3_int64 offset) {
  WalFile& wal = WalOf(file);
  if (wal.run.Overlaps(length, offset)) static_cast<void>(HandOnWal(wal));
  const int code =
      wal.failure != SQLITE_OK ? wal.failure : wal.below->pMethods->xRead(wal.below, buffer, length, offset);
  if (code != SQLITE_OK && wal.database != nullptr) wal.database->told_failure = true;
  return code;
}

int WriteWal(sqlite3_file* file, const void* bytes, int length, sqlite3_int64 offset) {
  WalFile& wal = WalOf(file);
  if (wal.failure != SQLITE_OK) return wal.failure;
  if (!wal.Gathers()) {
    const int failed = HandOnWal(wal);
    return failed != SQLITE_OK ? failed : wal.below->pMethods->xWrite(wal.below, bytes, length, offset);
  }
  const int code = WriteGathering(wal, bytes, length, offset);
  if (code != SQLITE_OK) wal.failure = code;
  return code;
}

int TruncateWal(sqlite3_file* file, sqlite3_int64 size) {
  const int failed = HandOnWal(WalOf(file));
  return failed != SQLITE_OK ? failed : Below(file)->pMethods->xTruncate(Below(file), size);
}

int SyncWal(sqlite3_file* file, int flags) {
  const int failed = HandOnWal(WalOf(file));
  return failed != SQLITE_OK ? failed : Below(file)->pMethods->xSync(Below(file), flags);
}

int WalSize(sqlite3_file* file, sqlite3_int64* size) {
  const int failed = HandOnWal(WalOf(file));
  return failed != SQLITE_OK ? failed : Below(file)->pMethods->xFileSize(Below(file), size);
}

// --- The database, whose writes are gathered within a checkpoint, which reads nothing of it

int CloseDatabase(sqlite3_file* file) {
  DatabaseFile& database = DatabaseOf(file);
  sqlite3_file* below = database.below;
  if (database.wal != nullptr) database.wal->database = nullptr;
  database.~DatabaseFile();
  return below->pMethods->xClose(below);
}

int ReadDatabase(sqlite3_file* file, void* buffer, int length, sqlite3_int64 offset) {
  DatabaseFile& database = DatabaseOf(file);
  if (database.run.Overlaps(length, offset)) {
    if (const int failed = database.HandOn(); failed != SQLITE_OK) return failed;
  }
  return database.below->pMethods->xRead(database.below, buffer, length, offset);
}

int WriteDatabase(sqlite3_file* file, const void* bytes, int length, sqlite3_int64 offset) {
  DatabaseFile& database = DatabaseOf(file);
  const int code = database.is_checkpointing
                       ? WriteGathering(database, bytes, length, offset)
                       : database.below->pMethods->xWrite(database.below, bytes, length, offset);
  if (code != SQLITE_OK) database.told_failure = true;
  return code;
}

// The failure of a checkpoint's last run, or of what is in the run now.
int TellLateFailure(DatabaseFile& database) {
  const int late = std::exchange(database.late_failure, SQLITE_OK);
  const int code = late != SQLITE_OK ? late : database.HandOn();
  if (code != SQLITE_OK) database.told_failure = true;
  return code;
}

int TruncateDatabase(sqlite3_file* file, sqlite3_int64 size) {
  const int failed = TellLateFailure(DatabaseOf(file));
  return failed != SQLITE_OK ? failed : Below(file)->pMethods->xTruncate(Below(file), size);
}

int SyncDatabase(sqlite3_file* file, int flags) {
  const int failed = TellLateFailure(DatabaseOf(file));
  return failed != SQLITE_OK ? failed : Below(file)->pMethods->xSync(Below(file), flags);
}

int DatabaseSize(sqlite3_file* file, sqlite3_int64* size) {
  const int failed = TellLateFailure(DatabaseOf(file));
  return failed != SQLITE_OK ? failed : Below(file)->pMethods->xFileSize(Below(file), size);
}

// name, argument or null
void SeePragma(DatabaseFile& database, const char* name, const char* value) {
  if (name == nullptr || value == nullptr || sqlite3_stricmp(name, "synchronous") != 0) return;
  database.syncs_commits = false;
  for (const char* full : {"FULL", "EXTRA", "2", "3"})
    database.syncs_commits = database.syncs_commits || sqlite3_stricmp(value, full) == 0;
}

int ControlDatabase(sqlite3_file* file, int what, void* value) {
  DatabaseFile& database = DatabaseOf(file);
  if (what == SQLITE_FCNTL_PRAGMA) {
    char** pragma = static_cast<char**>(value);
    SeePragma(database, pragma[1], pragma[2]);
  } else if (what == SQLITE_FCNTL_CKPT_START) {
    database.is_checkpointing = !database.leaves_frames;
    database.told_failure = false;
  } else if (what == SQLITE_FCNTL_CKPT_DONE) {
    database.late_failure = database.HandOn();  // SQLite does not look at what this call returns
    database.is_checkpointing = false;
  }
  return database.below->pMethods->xFileControl(database.below, what, value);
}

// The transaction is over: committed and synced, or rolled back.
void EndTransaction(DatabaseFile& database) {
  database.is_writing = false;
  if (database.wal == nullptr) return;
  database.wal->run.Clear();
  database.wal->failure = SQLITE_OK;
}

int LockShm(sqlite3_file* file, int offset, int count, int flags) {
  DatabaseFile& database = DatabaseOf(file);
  const bool is_exclusive = (flags & SQLITE_SHM_EXCLUSIVE) != 0;
  const bool unlocks = (flags & SQLITE_SHM_UNLOCK) != 0;
  if (unlocks && is_exclusive && offset == kWriteLock) EndTransaction(database);
  // A checkpoint that had the pages and did not truncate the file counts them as written, unless it failed.
  if (unlocks && is_exclusive && offset == kFirstReadLock)
    CHECK(std::exchange(database.late_failure, SQLITE_OK) == SQLITE_OK || database.told_failure);
  const int code = database.below->pMethods->xShmLock(database.below, offset, count, flags);
  if (unlocks || !is_exclusive) return code;
  if (offset == kWriteLock && code == SQLITE_OK) database.is_writing = true;
  if (offset == kCheckpointLock) database.leaves_frames = false;
  if (offset > kFirstReadLock && code != SQLITE_OK) database.leaves_frames = true;
  return code;
}

void BarrierShm(sqlite3_file* file) {
  DatabaseFile& database = DatabaseOf(file);
  // Frames that are about to be visible without a sync.
  if (database.wal != nullptr && !database.wal->run.IsEmpty()) CHECK(HandOnWal(*database.wal) == SQLITE_OK);
  database.below->pMethods->xShmBarrier(database.below);
}

// --- What both hand on as it is

int Lock(sqlite3_file* file, int level) {
  return Below(file)->pMethods->xLock(Below(file), level);
}
int Unlock(sqlite3_file* file, int level) {
  return Below(file)->pMethods->xUnlock(Below(file), level);
}
int CheckReservedLock(sqlite3_file* file, int* out) {
  return Below(file)->pMethods->xCheckReservedLock(Below(file), out);
}
int Control(sqlite3_file* file, int what, void* value) {
  return Below(file)->pMethods->xFileControl(Below(file), what, value);
}
int SectorSize(sqlite3_file* file) {
  return Below(file)->pMethods->xSectorSize(Below(file));
}
int DeviceCharacteristics(sqlite3_file* file) {
  return Below(file)->pMethods->xDeviceCharacteristics(Below(file));
}
int MapShm(sqlite3_file* file, int page, int size, int extend, void volatile** out) {
  return Below(file)->pMethods->xShmMap(Below(file), page, size, extend, out);
}
int UnmapShm(sqlite3_file* file, int remove) {
  return Below(file)->pMethods->xShmUnmap(Below(file), remove);
}

constexpr sqlite3_io_methods MakeMethods(int version, bool is_wal) {
  sqlite3_io_methods methods{};
  methods.iVersion = version;
  methods.xClose = is_wal ? CloseWal : CloseDatabase;
  methods.xRead = is_wal ? ReadWal : ReadDatabase;
  methods.xWrite = is_wal ? WriteWal : WriteDatabase;
  methods.xTruncate = is_wal ? TruncateWal : TruncateDatabase;
  methods.xSync = is_wal ? SyncWal : SyncDatabase;
  methods.xFileSize = is_wal ? WalSize : DatabaseSize;
  methods.xLock = Lock;
  methods.xUnlock = Unlock;
  methods.xCheckReservedLock = CheckReservedLock;
  methods.xFileControl = is_wal ? Control : ControlDatabase;
  methods.xSectorSize = SectorSize;
  methods.xDeviceCharacteristics = DeviceCharacteristics;
  methods.xShmMap = MapShm;
  methods.xShmLock = LockShm;
  methods.xShmBarrier = BarrierShm;
  methods.xShmUnmap = UnmapShm;
  return methods;
}

constexpr sqlite3_io_methods kWalMethods = MakeMethods(1, true);
constexpr sqlite3_io_methods kDatabaseMethods = MakeMethods(2, false);
constexpr sqlite3_io_methods kDatabaseWithoutShm = MakeMethods(1, false);

sqlite3_vfs* BelowOf(sqlite3_vfs* vfs) {
  return static_cast<sqlite3_vfs*>(vfs->pAppData);
}

// As SQLite wants it, the caller closes what has methods even when this failed.
template <typename File>
int OpenBelow(sqlite3_vfs* vfs, sqlite3_filename name, sqlite3_file* place, int flags, int* out_flags) {
  File& file = *new (place) File();
  file.below = reinterpret_cast<sqlite3_file*>(reinterpret_cast<char*>(place) + kOursBytes);
  file.below->pMethods = nullptr;
  const int code = BelowOf(vfs)->xOpen(BelowOf(vfs), name, file.below, flags, out_flags);
  if (file.below->pMethods == nullptr) {
    file.~File();
    place->pMethods = nullptr;
  }
  return code;
}

int Open(sqlite3_vfs* vfs, sqlite3_filename name, sqlite3_file* place, int flags, int* out_flags) {
  place->pMethods = nullptr;
  if ((flags & SQLITE_OPEN_MAIN_DB) != 0) {
    const int code = OpenBelow<DatabaseFile>(vfs, name, place, flags, out_flags);
    if (code != SQLITE_OK && place->pMethods == nullptr) return code;
    place->pMethods = Below(place)->pMethods->iVersion >= 2 ? &kDatabaseMethods : &kDatabaseWithoutShm;
    return code;
  }
  if ((flags & SQLITE_OPEN_WAL) == 0) return BelowOf(vfs)->xOpen(BelowOf(vfs), name, place, flags, out_flags);
  const int code = OpenBelow<WalFile>(vfs, name, place, flags, out_flags);
  if (code != SQLITE_OK) return code;
  place->pMethods = &kWalMethods;
  WalFile& wal = WalOf(place);
  wal.is_powersafe = (DeviceCharacteristics(place) & SQLITE_IOCAP_POWERSAFE_OVERWRITE) != 0;
  sqlite3_file* database = sqlite3_database_file_object(name);
  if (database == nullptr || database->pMethods != &kDatabaseMethods) return code;
  wal.database = &DatabaseOf(database);
  wal.database->wal = &wal;
  return code;
}

int Delete(sqlite3_vfs* vfs, const char* name, int sync_folder) {
  return BelowOf(vfs)->xDelete(BelowOf(vfs), name, sync_folder);
}
int Access(sqlite3_vfs* vfs, const char* name, int flags, int* out) {
  return BelowOf(vfs)->xAccess(BelowOf(vfs), name, flags, out);
}
int FullPathname(sqlite3_vfs* vfs, const char* name, int length, char* out) {
  return BelowOf(vfs)->xFullPathname(BelowOf(vfs), name, length, out);
}
int Randomness(sqlite3_vfs* vfs, int length, char* out) {
  return BelowOf(vfs)->xRandomness(BelowOf(vfs), length, out);
}
int Sleep(sqlite3_vfs* vfs, int microseconds) {
  return BelowOf(vfs)->xSleep(BelowOf(vfs), microseconds);
}
int CurrentTime(sqlite3_vfs* vfs, double* out) {
  return BelowOf(vfs)->xCurrentTime(BelowOf(vfs), out);
}
int LastError(sqlite3_vfs* vfs, int length, char* out) {
  return BelowOf(vfs)->xGetLastError(BelowOf(vfs), length, out);
}
int CurrentTimeInt64(sqlite3_vfs* vfs, sqlite3_int64* out) {
  return BelowOf(vfs)->xCurrentTimeInt64(BelowOf(vfs), out);
}

// Lives as long as the process, for SQLite goes on using it. It has the name of the VFS below, so that what a
// connection attaches, which is looked up by that name, goes there.
class GatheringVfs {
 public:
  explicit GatheringVfs(sqlite3_vfs* below) : name_(below->zName) {
    vfs_.iVersion = std::min(below->iVersion, 2);
    vfs_.szOsFile = static_cast<int>(kOursBytes) + below->szOsFile;
    vfs_.mxPathname = below->mxPathname;
    vfs_.zName = name_.c_str();
    vfs_.pAppData = below;
    vfs_.xOpen = Open;
    vfs_.xDelete = Delete;
    vfs_.xAccess = Access;
    vfs_.xFullPathname = FullPathname;
    vfs_.xRandomness = Randomness;
    vfs_.xSleep = Sleep;
    vfs_.xCurrentTime = CurrentTime;
    vfs_.xGetLastError = LastError;
    vfs_.xCurrentTimeInt64 = CurrentTimeInt64;
  }
  GatheringVfs(const GatheringVfs&) = delete;
  GatheringVfs& operator=(const GatheringVfs&) = delete;
  sqlite3_vfs* vfs() { return &vfs_; }
  // Another may stand in the place of one that is gone.
  bool IsOver(const sqlite3_vfs* below) const {
    return vfs_.pAppData == below && name_ == below->zName &&
           vfs_.szOsFile == static_cast<int>(kOursBytes) + below->szOsFile &&
           vfs_.mxPathname == below->mxPathname && vfs_.iVersion == std::min(below->iVersion, 2);
  }

 private:
  const std::string name_;
  sqlite3_vfs vfs_{};
};

sqlite3_vfs* GatheringOver(sqlite3_vfs* below) {
  static auto& all = *new std::vector<std::unique_ptr<GatheringVfs>>();
  for (const auto& one : all) {
    if (one->IsOver(below)) return one->vfs();
  }
  return all.emplace_back(std::make_unique<GatheringVfs>(below))->vfs();
}

}  // namespace

// Registered for no longer than it takes: were it left in SQLite's list it could become the default when the
// one below goes.
int OpenGathering(const std::string& file, sqlite3** handle, int flags) {
  static std::mutex opening;
  const std::lock_guard lock(opening);
  sqlite3_initialize();
  sqlite3_vfs* below = sqlite3_vfs_find(nullptr);
  if (below == nullptr) return sqlite3_open_v2(file.c_str(), handle, flags, nullptr);
  sqlite3_vfs* vfs = GatheringOver(below);
  sqlite3_vfs_register(vfs, 1);
  const int code = sqlite3_open_v2(file.c_str(), handle, flags, nullptr);
  sqlite3_vfs_unregister(vfs);
  return code;
}

}  // namespace outboxd
