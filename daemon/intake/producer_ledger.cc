#include "daemon/intake/producer_ledger.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>

#include "config/owned_fd.h"
#include "core/result.h"

namespace outboxd {
namespace {

constexpr std::string_view kMagic = "outboxd producers";
constexpr std::uint32_t kVersion = 1;
// Behind the places; more than limits.producer_bytes would be damage.
constexpr std::uint64_t kLeftBytesMax = 1ULL << 30;

Failure CannotShare(int why) {
  return Fail(ErrorKind::kIo, "memory for the next process: " + std::generic_category().message(why));
}

struct RecordHead {
  std::uint64_t place;
  std::uint64_t unread_bytes, replies_bytes;
};
static_assert(std::is_trivially_copyable_v<RecordHead> && sizeof(RecordHead) == 24);

void Append(std::string& bytes, std::size_t place, const LeftBehind& left) {
  const RecordHead head{place, left.unread.size(), left.replies.size()};
  char text[sizeof head];
  std::memcpy(text, &head, sizeof head);
  bytes.append(text, sizeof head).append(left.unread).append(left.replies);
}

// Takes the first record off `bytes`; nullopt at the end and at damage.
std::optional<std::pair<std::size_t, LeftBehind>> TakeRecord(std::string_view& bytes) {
  RecordHead head{};
  if (bytes.size() < sizeof head) return std::nullopt;
  std::memcpy(&head, bytes.data(), sizeof head);
  bytes.remove_prefix(sizeof head);
  if (head.place >= ProducerLedger::kPlaces || head.unread_bytes > bytes.size() ||
      head.replies_bytes > bytes.size() - head.unread_bytes)
    return std::nullopt;
  LeftBehind left{std::string(bytes.substr(0, head.unread_bytes)),
                  std::string(bytes.substr(head.unread_bytes, head.replies_bytes))};
  bytes.remove_prefix(head.unread_bytes + head.replies_bytes);
  return std::pair(std::size_t{head.place}, std::move(left));
}

// False at an error, which is in errno.
bool WriteAll(int descriptor, std::string_view bytes, off_t at) {
  while (!bytes.empty()) {
    const ssize_t written = pwrite(descriptor, bytes.data(), bytes.size(), at);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(written));
    at += written;
  }
  return true;
}

std::string ReadAll(int descriptor, std::size_t size, off_t at) {
  std::string bytes(size, '\0');
  std::size_t read = 0;
  while (read < size) {
    const ssize_t got = pread(descriptor, bytes.data() + read, size - read, at + static_cast<off_t>(read));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    read += static_cast<std::size_t>(got);
  }
  bytes.resize(read);
  return bytes;
}

}  // namespace

// As it is in memory, of this process and the next.
struct ProducerLedger::Shared {
  char magic[24];
  std::uint32_t version, places;
  std::uint64_t left_bytes;  // 0: nothing was left, or it was taken
  std::uint8_t states[kPlaces];
};

ProducerLedger::ProducerLedger(OwnedFd memory, Shared* shared)
    : memory_(std::move(memory)), shared_(shared) {}

ProducerLedger::ProducerLedger(ProducerLedger&& other) noexcept
    : memory_(std::move(other.memory_)), shared_(std::exchange(other.shared_, nullptr)) {}

ProducerLedger& ProducerLedger::operator=(ProducerLedger&& other) noexcept {
  std::swap(memory_, other.memory_);
  std::swap(shared_, other.shared_);
  return *this;
}

ProducerLedger::~ProducerLedger() {
  if (shared_ != nullptr) munmap(shared_, sizeof(Shared));
}

Result<ProducerLedger> ProducerLedger::Make() {
  OwnedFd memory(memfd_create("outboxd-producers", MFD_CLOEXEC));
  if (memory.get() < 0 || ftruncate(memory.get(), sizeof(Shared)) != 0) return CannotShare(errno);
  Shared fresh{};
  kMagic.copy(fresh.magic, sizeof fresh.magic);
  fresh.version = kVersion;
  fresh.places = kPlaces;
  const std::string_view bytes(reinterpret_cast<const char*>(&fresh), sizeof fresh);
  if (!WriteAll(memory.get(), bytes, 0)) return CannotShare(errno);
  return Open(std::move(memory));
}

Result<ProducerLedger> ProducerLedger::Open(OwnedFd memory) {
  struct stat status{};
  if (fstat(memory.get(), &status) != 0) return CannotShare(errno);
  if (status.st_size < static_cast<off_t>(sizeof(Shared)))
    return Fail(ErrorKind::kConflict, "the memory of the last process is too small");
  void* mapped = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED, memory.get(), 0);
  if (mapped == MAP_FAILED) return CannotShare(errno);
  ProducerLedger ledger(std::move(memory), static_cast<Shared*>(mapped));
  const Shared& shared = *ledger.shared_;
  if (std::string_view(shared.magic, kMagic.size()) != kMagic || shared.version != kVersion ||
      shared.places != kPlaces)
    return Fail(ErrorKind::kConflict, "the memory of the last process is of another version");
  return ledger;
}

ProducerLedger::State ProducerLedger::Get(std::size_t place) const {
  const std::uint8_t state = std::atomic_ref(shared_->states[place]).load();
  return state <= static_cast<std::uint8_t>(State::kOwing) ? static_cast<State>(state) : State::kOwing;
}

void ProducerLedger::Set(std::size_t place, State state) {
  std::atomic_ref(shared_->states[place]).store(static_cast<std::uint8_t>(state));
}

ProducerLedger::Left ProducerLedger::TakeLeft() {
  const std::uint64_t size = std::exchange(shared_->left_bytes, 0);
  const std::string whole =
      size <= kLeftBytesMax ? ReadAll(memory_.get(), size, sizeof(Shared)) : std::string();
  std::string_view bytes = whole;
  Left left;
  while (auto record = TakeRecord(bytes)) left.insert(*std::move(record));
  return left;
}

Result<void> ProducerLedger::Leave(const Left& left) {
  std::string bytes;
  for (const auto& [place, behind] : left) Append(bytes, place, behind);
  if (bytes.size() > kLeftBytesMax) return Fail(ErrorKind::kFull, "too much for the next process");
  if (ftruncate(memory_.get(), static_cast<off_t>(sizeof(Shared) + bytes.size())) != 0 ||
      !WriteAll(memory_.get(), bytes, sizeof(Shared)))
    return CannotShare(errno);
  shared_->left_bytes = bytes.size();
  return {};
}

}  // namespace outboxd
