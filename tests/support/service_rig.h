// tests/support/service_rig.h — a service manager for a daemon under test: it holds the listening sockets and
// what the daemon stores, and passes both on to the next process (sd_listen_fds(3),
// sd_pid_notify_with_fds(3)).
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "config/owned_fd.h"
#include "daemon/base/mutex.h"
#include "daemon/base/service_manager.h"
#include "tests/support/daemon_under_test.h"

namespace outboxd {

class ServiceRig {
 public:
  // Listens for the daemon, which is launched later and outlives the rig.
  explicit ServiceRig(DaemonUnderTest& daemon);
  ~ServiceRig();
  ServiceRig(const ServiceRig&) = delete;
  ServiceRig& operator=(const ServiceRig&) = delete;

  // Also on a port of 127.0.0.1 for listen.track. Before the first start.
  void ListenForTrack(std::uint16_t port);

  // Has the next start of the daemon get all that is kept now. Between two processes.
  void Pass();
  void Start() { Pass(), daemon_.Start(); }
  void Restart() { daemon_.Terminate(), Start(); }
  void Crash() { daemon_.Kill9(), Start(); }
  std::size_t StoredCount() EXCLUDES(mutex_);

 private:
  void Serve();
  bool ReceiveOne() EXCLUDES(mutex_);
  void Take(const std::string& message, std::vector<OwnedFd> descriptors) EXCLUDES(mutex_);

  DaemonUnderTest& daemon_;
  const std::filesystem::path notify_path_;
  std::vector<PassedDescriptor> sockets_;
  std::vector<OwnedFd> passed_;  // copies that the next process inherits
  OwnedFd notify_, ends_;
  Mutex mutex_;
  std::vector<PassedDescriptor> stored_ GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace outboxd
