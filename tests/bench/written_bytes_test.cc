// What a job costs the disk, measured on the real daemon. Bytes are the same on every machine, which times
// are not: this is the part of script/bench that can fail a build.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <system_error>

#include "tests/support/daemon_under_test.h"
#include "tests/support/give_up.h"

namespace outboxd {
namespace {

// Of a job that comes alone, accepted, delivered and recorded: two commits, each of one page of 16 KiB for
// every table that it touches. Measured 53.2 to 53.6; a seventh more is room for another column, not for
// another table or commit. Lower it with every change that makes a job cheaper.
constexpr double kKibAJobMax = 61;
constexpr int kWarmUpJobs = 20;  // the first ones make the files
constexpr int kJobs = 300;

// What the process caused to be written to disk; nullopt where the kernel does not tell.
std::optional<std::uint64_t> WrittenBytesOf(const std::string& process) {
  std::ifstream counts("/proc/" + process + "/io");
  std::string name;
  std::uint64_t value = 0;
  while (counts >> name >> value) {
    if (name == "write_bytes:") return value;
  }
  return std::nullopt;
}

// Where a page written is a page counted: not in memory, and not on file systems that keep no such account.
bool IsCounted(const std::filesystem::path& folder) {
  constexpr std::size_t kBytes = 64 * 1024;
  const std::filesystem::path file = folder / "counted";
  const auto before = WrittenBytesOf("self");
  const int descriptor = open(file.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  if (descriptor < 0 || !before) return false;
  const std::string bytes(kBytes, 'x');
  const bool is_written = write(descriptor, bytes.data(), kBytes) == static_cast<ssize_t>(kBytes);
  const bool is_synced = fsync(descriptor) == 0;
  close(descriptor);
  std::filesystem::remove(file);
  return is_written && is_synced && *WrittenBytesOf("self") - *before >= kBytes;
}

// A folder on a real disk: the temporary one is often in memory.
class DiskFolder {
 public:
  DiskFolder() {
    for (const std::filesystem::path& root :
         {std::filesystem::path("/var/tmp"), std::filesystem::current_path()}) {
      std::string name = root / "outboxd.XXXXXX";
      if (mkdtemp(name.data()) == nullptr) continue;
      path_ = name;
      if (IsCounted(path_)) return;
      Remove();
    }
  }
  ~DiskFolder() { Remove(); }
  DiskFolder(const DiskFolder&) = delete;
  DiskFolder& operator=(const DiskFolder&) = delete;

  const std::filesystem::path& Path() const { return path_; }  // empty: there is no such disk

 private:
  void Remove() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
    path_.clear();
  }

  std::filesystem::path path_;
};

std::string OrderPlaced(int number) {
  std::string line = R"({"type":"track","id":")" + std::to_string(number * 7919 % 10'000);
  line += R"(","name":"order_placed","data":{"order":)" + std::to_string(number) + R"(,"note":")";
  return line + std::string(350 - line.size() - 3, 'n') + R"("}})";
}

// Each once the one before has been delivered, so that none shares the commit of another.
void DeliverOneByOne(const DaemonUnderTest& daemon, SimUnderTest& sim, int first, int count) {
  LineClient producer = daemon.Producer();
  for (int number = first; number < first + count; ++number) {
    const std::string reply = producer.Ask(OrderPlaced(number));
    if (!reply.starts_with(R"({"ok":true)")) GiveUp("refused: " + reply);
    sim.AwaitEffects(static_cast<std::uint64_t>(number) + 1);
  }
}

}  // namespace

TEST_CASE("written bytes: a job that comes alone does not write more than its bound") {
  const DiskFolder folder;
  if (folder.Path().empty()) {
    MESSAGE("skipped: neither /var/tmp nor the build directory is on a disk whose writes the kernel counts");
    return;
  }
  SimUnderTest sim;
  DaemonUnderTest daemon(sim, {{"outbox.path", '"' + (folder.Path() / "outbox.db").string() + '"'}});
  const std::string process = std::to_string(daemon.Pid());
  DeliverOneByOne(daemon, sim, 0, kWarmUpJobs);
  const std::uint64_t before = WrittenBytesOf(process).value_or(0);
  DeliverOneByOne(daemon, sim, kWarmUpJobs, kJobs);
  const double kib = static_cast<double>(WrittenBytesOf(process).value_or(0) - before) / 1024 / kJobs;
  MESSAGE("KiB written a job: ", kib);
  CHECK(kib > 1);  // or nothing was measured
  CHECK(kib <= kKibAJobMax);
  daemon.AwaitDrained();
  daemon.Terminate();
}

}  // namespace outboxd
