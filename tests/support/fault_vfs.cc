#include "tests/support/fault_vfs.h"

#include <sqlite3.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <new>

#include "tests/support/give_up.h"

namespace outboxd::test {
namespace {

constexpr std::uint64_t kSectorBytes = 512;
constexpr const char* kName = "outboxd-fault";

// What SQLite allocates for an open file: ours, followed by the real one.
struct OpenFile {
  sqlite3_file base;
  FaultVfs* owner;
  FaultVfs::File* record;  // null for files without a name
  sqlite3_file* Real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
};

OpenFile& Of(sqlite3_file* file) {
  return *reinterpret_cast<OpenFile*>(file);
}
sqlite3_file* RealOf(sqlite3_file* file) {
  return Of(file).Real();
}
FaultVfs& OwnerOf(sqlite3_vfs* vfs) {
  return *static_cast<FaultVfs*>(vfs->pAppData);
}
sqlite3_vfs* Below(sqlite3_vfs* vfs) {
  return OwnerOf(vfs).real();
}

void Apply(std::string& content, const FaultVfs::Change& change) {
  if (change.size) {
    content.resize(*change.size);
    return;
  }
  const std::uint64_t end = change.offset + change.bytes.size();
  if (content.size() < end) content.resize(end);
  content.replace(change.offset, change.bytes.size(), change.bytes);
}

// Each sector of a change reaches the disk or not, whatever became of the others.
void ApplyTorn(std::string& content, const FaultVfs::Change& change, std::mt19937_64& random) {
  if (change.size) {
    if (random() % 2 == 0) Apply(content, change);
    return;
  }
  for (std::uint64_t done = 0; done < change.bytes.size();) {
    const std::uint64_t offset = change.offset + done;
    const std::uint64_t length =
        std::min<std::uint64_t>(kSectorBytes - offset % kSectorBytes, change.bytes.size() - done);
    if (random() % 2 == 0) Apply(content, {offset, change.bytes.substr(done, length), std::nullopt});
    done += length;
  }
}

std::string ContentOf(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

void Overwrite(const std::filesystem::path& path, const std::string& content) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(content.data(), static_cast<std::streamsize>(content.size()));
}

int Close(sqlite3_file* file) {
  return RealOf(file)->pMethods->xClose(RealOf(file));
}

int Read(sqlite3_file* file, void* buffer, int length, sqlite3_int64 offset) {
  if (const int failed = Of(file).owner->CountRead(); failed != SQLITE_OK) return failed;
  return RealOf(file)->pMethods->xRead(RealOf(file), buffer, length, offset);
}

int Write(sqlite3_file* file, const void* bytes, int length, sqlite3_int64 offset) {
  OpenFile& open = Of(file);
  if (open.record != nullptr) ++open.record->writes;
  const int failed = open.owner->Count(SQLITE_IOERR_WRITE);
  if (open.owner->IsPowerCut()) return SQLITE_IOERR_WRITE;
  if (failed != SQLITE_OK) length /= 2;
  const int code =
      length == 0 ? SQLITE_OK : open.Real()->pMethods->xWrite(open.Real(), bytes, length, offset);
  if (open.record != nullptr && code == SQLITE_OK) {
    const std::string written(static_cast<const char*>(bytes), static_cast<std::size_t>(length));
    open.record->changes.push_back({static_cast<std::uint64_t>(offset), written, std::nullopt});
  }
  return failed != SQLITE_OK ? failed : code;
}

int Truncate(sqlite3_file* file, sqlite3_int64 size) {
  OpenFile& open = Of(file);
  const int failed = open.owner->Count(SQLITE_IOERR_TRUNCATE);
  if (failed != SQLITE_OK) return failed;
  if (open.record != nullptr) open.record->changes.push_back({0, {}, static_cast<std::uint64_t>(size)});
  return open.Real()->pMethods->xTruncate(open.Real(), size);
}

int Sync(sqlite3_file* file, int /*flags*/) {
  OpenFile& open = Of(file);
  const int failed = open.owner->Count(SQLITE_IOERR_FSYNC);
  if (failed != SQLITE_OK || open.record == nullptr) return failed;
  open.record->on_disk = true;
  for (const FaultVfs::Change& change : open.record->changes) Apply(open.record->synced, change);
  open.record->changes.clear();
  return SQLITE_OK;
}

int FileSize(sqlite3_file* file, sqlite3_int64* size) {
  return RealOf(file)->pMethods->xFileSize(RealOf(file), size);
}
int Lock(sqlite3_file* file, int level) {
  return RealOf(file)->pMethods->xLock(RealOf(file), level);
}
int Unlock(sqlite3_file* file, int level) {
  return RealOf(file)->pMethods->xUnlock(RealOf(file), level);
}
int CheckReservedLock(sqlite3_file* file, int* out) {
  return RealOf(file)->pMethods->xCheckReservedLock(RealOf(file), out);
}
int FileControl(sqlite3_file* file, int what, void* value) {
  return RealOf(file)->pMethods->xFileControl(RealOf(file), what, value);
}
int SectorSize(sqlite3_file* file) {
  return RealOf(file)->pMethods->xSectorSize(RealOf(file));
}
int DeviceCharacteristics(sqlite3_file* file) {
  return RealOf(file)->pMethods->xDeviceCharacteristics(RealOf(file));
}
int ShmMap(sqlite3_file* file, int page, int size, int extend, void volatile** out) {
  return RealOf(file)->pMethods->xShmMap(RealOf(file), page, size, extend, out);
}
int ShmLock(sqlite3_file* file, int offset, int count, int flags) {
  return RealOf(file)->pMethods->xShmLock(RealOf(file), offset, count, flags);
}
void ShmBarrier(sqlite3_file* file) {
  RealOf(file)->pMethods->xShmBarrier(RealOf(file));
}
int ShmUnmap(sqlite3_file* file, int remove) {
  return RealOf(file)->pMethods->xShmUnmap(RealOf(file), remove);
}

constexpr sqlite3_io_methods kMethods = {2,
                                         Close,
                                         Read,
                                         Write,
                                         Truncate,
                                         Sync,
                                         FileSize,
                                         Lock,
                                         Unlock,
                                         CheckReservedLock,
                                         FileControl,
                                         SectorSize,
                                         DeviceCharacteristics,
                                         ShmMap,
                                         ShmLock,
                                         ShmBarrier,
                                         ShmUnmap,
                                         nullptr,
                                         nullptr};

int Open(sqlite3_vfs* vfs, sqlite3_filename name, sqlite3_file* file, int flags, int* out_flags) {
  OpenFile& open = *new (file) OpenFile{{nullptr}, &OwnerOf(vfs), nullptr};
  const int failed = open.owner->Count(SQLITE_CANTOPEN);
  if (failed != SQLITE_OK) return failed == SQLITE_FULL ? SQLITE_CANTOPEN : failed;
  const bool existed = name != nullptr && std::filesystem::exists(name);
  const int code = Below(vfs)->xOpen(Below(vfs), name, open.Real(), flags, out_flags);
  if (code != SQLITE_OK) return code;
  open.base.pMethods = &kMethods;
  if (name == nullptr) return SQLITE_OK;
  const auto [place, fresh] = open.owner->files().try_emplace(name);
  open.record = &place->second;
  if (fresh && existed) *open.record = {true, ContentOf(name), {}, 0};
  return SQLITE_OK;
}

int Delete(sqlite3_vfs* vfs, const char* name, int sync_folder) {
  const int failed = OwnerOf(vfs).Count(SQLITE_IOERR_DELETE);
  if (failed != SQLITE_OK) return failed;
  OwnerOf(vfs).files()[name] = {};
  return Below(vfs)->xDelete(Below(vfs), name, sync_folder);
}

int Access(sqlite3_vfs* vfs, const char* name, int flags, int* out) {
  return Below(vfs)->xAccess(Below(vfs), name, flags, out);
}
int FullPathname(sqlite3_vfs* vfs, const char* name, int length, char* out) {
  return Below(vfs)->xFullPathname(Below(vfs), name, length, out);
}
int Randomness(sqlite3_vfs* vfs, int length, char* out) {
  for (int index = 0; index < length; ++index) out[index] = static_cast<char>(OwnerOf(vfs).Random());
  return length;
}
int Sleep(sqlite3_vfs* vfs, int microseconds) {
  return Below(vfs)->xSleep(Below(vfs), microseconds);
}
int CurrentTime(sqlite3_vfs* vfs, double* out) {
  return Below(vfs)->xCurrentTime(Below(vfs), out);
}
int LastError(sqlite3_vfs* /*vfs*/, int /*length*/, char* /*out*/) {
  return 0;
}
int CurrentTimeInt64(sqlite3_vfs* vfs, sqlite3_int64* out) {
  return Below(vfs)->xCurrentTimeInt64(Below(vfs), out);
}

}  // namespace

class FaultVfs::Shim {
 public:
  explicit Shim(FaultVfs& owner) {
    sqlite3_vfs* real = sqlite3_vfs_find(nullptr);
    if (real == nullptr || std::string(real->zName) == kName) GiveUp("another FaultVfs is in use");
    owner.real_ = real;
    vfs_.iVersion = 2;
    vfs_.szOsFile = static_cast<int>(sizeof(OpenFile)) + real->szOsFile;
    vfs_.mxPathname = real->mxPathname;
    vfs_.zName = kName;
    vfs_.pAppData = &owner;
    vfs_.xOpen = Open;
    vfs_.xDelete = Delete;
    vfs_.xAccess = Access;
    vfs_.xFullPathname = FullPathname;
    vfs_.xRandomness = Randomness;
    vfs_.xSleep = Sleep;
    vfs_.xCurrentTime = CurrentTime;
    vfs_.xGetLastError = LastError;
    vfs_.xCurrentTimeInt64 = CurrentTimeInt64;
    if (sqlite3_vfs_register(&vfs_, 1) != SQLITE_OK) GiveUp("the VFS cannot be registered");
  }
  ~Shim() { sqlite3_vfs_unregister(&vfs_); }
  Shim(const Shim&) = delete;
  Shim& operator=(const Shim&) = delete;

 private:
  sqlite3_vfs vfs_{};
};

FaultVfs::FaultVfs(std::uint64_t seed) : shim_(std::make_unique<Shim>(*this)), random_(seed) {
  sqlite3_randomness(0, nullptr);  // forgets what it was fed before
}
FaultVfs::~FaultVfs() = default;

void FaultVfs::Arm(std::uint64_t call, FaultKind kind, FaultSpan span) {
  Heal();
  calls_ = 0;
  has_fired_ = false;
  fail_at_ = call;
  kind_ = kind;
  span_ = span;
}

void FaultVfs::FailReadAt(std::uint64_t read) {
  Heal();
  reads_ = 0;
  has_fired_ = false;
  fail_read_at_ = read;
}

void FaultVfs::CutPowerAt(std::uint64_t call) {
  Arm(call, FaultKind::kIo, FaultSpan::kFromThenOn);
  cuts_power_ = true;
}

void FaultVfs::Heal() {
  fail_at_.reset();
  fail_read_at_.reset();
  cuts_power_ = false;
}

int FaultVfs::Count(int io_code) {
  ++calls_;
  const bool fails = fail_at_ && (span_ == FaultSpan::kOnce ? calls_ == *fail_at_ : calls_ >= *fail_at_);
  if (!fails) return SQLITE_OK;
  has_fired_ = true;
  power_cut_ = power_cut_ || cuts_power_;
  return kind_ == FaultKind::kFull && io_code == SQLITE_IOERR_WRITE ? SQLITE_FULL : io_code;
}

int FaultVfs::CountRead() {
  ++reads_;
  if (fail_read_at_ != reads_) return SQLITE_OK;
  has_fired_ = true;
  return SQLITE_IOERR_READ;
}

std::optional<std::string> FaultVfs::Held(const File& file, Unsynced unsynced, std::mt19937_64& random) {
  const bool lucky = unsynced == Unsynced::kTorn && !file.changes.empty() && random() % 2 == 0;
  if (!file.on_disk && !lucky) return std::nullopt;
  std::string content = file.synced;
  if (unsynced == Unsynced::kTorn) {
    for (const Change& change : file.changes) ApplyTorn(content, change, random);
  }
  return content;
}

void FaultVfs::Rebuild(const std::filesystem::path& from, const std::filesystem::path& to, Unsynced unsynced,
                       std::uint64_t seed) const {
  std::mt19937_64 random(seed);
  for (const auto& [path, file] : files_) {
    if (std::filesystem::path(path).parent_path() != from) continue;
    if (const std::optional<std::string> content = Held(file, unsynced, random))
      Overwrite(to / std::filesystem::path(path).filename(), *content);
  }
}

void FaultVfs::Recover(const std::filesystem::path& folder, Unsynced unsynced, std::uint64_t seed) {
  Heal();
  power_cut_ = false;
  if (unsynced == Unsynced::kKept) return;
  std::mt19937_64 random(seed);
  for (auto& [path, file] : files_) {
    if (std::filesystem::path(path).parent_path() != folder) continue;
    const std::optional<std::string> content = Held(file, unsynced, random);
    file = {content.has_value(), content.value_or(""), {}, 0};
    if (content) {
      Overwrite(path, *content);
    } else {
      std::filesystem::remove(path);
    }
  }
}

}  // namespace outboxd::test
