// Preloaded into the real outboxd: see fault_switch.h.
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <sys/mman.h>
#include <sys/statfs.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include "tests/support/fault_switch.h"

namespace outboxd {
namespace {

FaultSwitch* MapSwitch() {
  const char* path = std::getenv(kFaultSwitchVariable);
  const int descriptor = path == nullptr ? -1 : open(path, O_RDWR | O_CLOEXEC);
  if (descriptor < 0) return nullptr;
  void* memory = mmap(nullptr, sizeof(FaultSwitch), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  close(descriptor);
  return memory == MAP_FAILED ? nullptr : static_cast<FaultSwitch*>(memory);
}

FaultSwitch* Switch() {
  static FaultSwitch* const mapped = MapSwitch();
  return mapped;
}

bool IsOutbox(int descriptor) {
  char link[64], path[512];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  const ssize_t length = readlink(link, path, sizeof path - 1);
  if (length <= 0) return false;
  path[length] = '\0';
  return std::strstr(path, "outbox.db") != nullptr;
}

// Whether the call is to fail; errno says how.
bool Fails(std::atomic<int> FaultSwitch::* fault, int descriptor) {
  FaultSwitch* const faults = Switch();
  const int error = faults == nullptr ? 0 : (faults->*fault).load();
  if (error == 0 || !IsOutbox(descriptor)) return false;
  ++faults->failed_calls;
  errno = error;
  return true;
}

template <typename Function>
Function* Real(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

}  // namespace
}  // namespace outboxd

using outboxd::Fails;
using outboxd::FaultSwitch;
using outboxd::Real;

extern "C" {

ssize_t pwrite(int descriptor, const void* bytes, size_t count, off_t offset) {
  static auto* const real = Real<ssize_t(int, const void*, size_t, off_t)>("pwrite");
  return Fails(&FaultSwitch::write_error, descriptor) ? -1 : real(descriptor, bytes, count, offset);
}

ssize_t pwrite64(int descriptor, const void* bytes, size_t count, off64_t offset) {
  static auto* const real = Real<ssize_t(int, const void*, size_t, off64_t)>("pwrite64");
  return Fails(&FaultSwitch::write_error, descriptor) ? -1 : real(descriptor, bytes, count, offset);
}

int fdatasync(int descriptor) {
  static auto* const real = Real<int(int)>("fdatasync");
  return Fails(&FaultSwitch::sync_error, descriptor) ? -1 : real(descriptor);
}

int fsync(int descriptor) {
  static auto* const real = Real<int(int)>("fsync");
  return Fails(&FaultSwitch::sync_error, descriptor) ? -1 : real(descriptor);
}

int ftruncate(int descriptor, off_t length) noexcept {
  static auto* const real = Real<int(int, off_t)>("ftruncate");
  return Fails(&FaultSwitch::truncate_error, descriptor) ? -1 : real(descriptor, length);
}

int ftruncate64(int descriptor, off64_t length) noexcept {
  static auto* const real = Real<int(int, off64_t)>("ftruncate64");
  return Fails(&FaultSwitch::truncate_error, descriptor) ? -1 : real(descriptor, length);
}

int clock_gettime(clockid_t clock, timespec* out) noexcept {
  static auto* const real = Real<int(clockid_t, timespec*)>("clock_gettime");
  const int result = real(clock, out);
  FaultSwitch* const faults = outboxd::Switch();
  if (clock == CLOCK_REALTIME && faults != nullptr) out->tv_sec += faults->clock_seconds;
  return result;
}

time_t time(time_t* out) noexcept {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  if (out != nullptr) *out = now.tv_sec;
  return now.tv_sec;
}

int statfs(const char* path, struct statfs* out) noexcept {
  static auto* const real = Real<int(const char*, struct statfs*)>("statfs");
  const int result = real(path, out);
  FaultSwitch* const faults = outboxd::Switch();
  if (faults != nullptr && faults->file_system != 0) out->f_type = faults->file_system;
  return result;
}

int adjtimex(timex* clock) noexcept {
  static auto* const real = Real<int(timex*)>("adjtimex");
  const int state = real(clock);
  FaultSwitch* const faults = outboxd::Switch();
  const int said = faults == nullptr ? -1 : faults->clock_is_synchronised.load();
  if (state < 0 || said < 0) return state;
  clock->status = said == 0 ? clock->status | STA_UNSYNC : clock->status & ~STA_UNSYNC;
  return said == 0 ? TIME_ERROR : TIME_OK;
}

int getaddrinfo(const char* node, const char* service, const addrinfo* hints, addrinfo** out) {
  static auto* const real = Real<int(const char*, const char*, const addrinfo*, addrinfo**)>("getaddrinfo");
  FaultSwitch* const faults = outboxd::Switch();
  if (faults == nullptr || faults->names_hang == 0) return real(node, service, hints, out);
  while (faults->names_hang != 0) usleep(1000);
  return EAI_AGAIN;
}

}  // extern "C"
