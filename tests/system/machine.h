// tests/system/machine.h — the real outboxd on a machine that fails on command.
#pragma once

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <filesystem>
#include <new>
#include <string>
#include <vector>

#include "tests/support/fault_switch.h"
#include "tests/support/process.h"
#include "tests/system/scene.h"

namespace outboxd {

// With Launch::kLater the daemon meets at its start what was switched on before.
class Machine {
 public:
  explicit Machine(const SimUnderTest& sim, const ConfigValues& overrides = {}, Launch launch = Launch::kNow)
      : daemon(sim, overrides, Launch::kLater) {
    WriteFile(file_, std::string(sizeof(FaultSwitch), '\0'));
    const int descriptor = open(file_.c_str(), O_RDWR | O_CLOEXEC);
    void* memory = mmap(nullptr, sizeof(FaultSwitch), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    close(descriptor);
    REQUIRE(memory != MAP_FAILED);
    faults = new (memory) FaultSwitch;
    daemon.SetEnvironment("LD_PRELOAD", FAULT_SHIM);
    daemon.SetEnvironment(kFaultSwitchVariable, file_.string());
    if (launch == Launch::kNow) daemon.Start();
  }
  ~Machine() { munmap(faults, sizeof(FaultSwitch)); }
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  // outboxctl on the same machine.
  Finished Ctl(const std::vector<std::string>& arguments) const {
    ProcessOptions run;
    run.command = {OUTBOXCTL_BINARY};
    run.command.insert(run.command.end(), arguments.begin(), arguments.end());
    run.environment = {{"LD_PRELOAD", FAULT_SHIM}, {kFaultSwitchVariable, file_.string()}};
    return Run(std::move(run));
  }

 private:
  TempDir folder_;
  std::filesystem::path file_ = folder_ / "faults";

 public:
  FaultSwitch* faults = nullptr;
  DaemonUnderTest daemon;
};

}  // namespace outboxd
