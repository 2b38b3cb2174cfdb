#include "daemon/base/service_manager.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <string>

#include "tests/support/fake_manager.h"

using namespace outboxd;
using test::FakeManager;

TEST_CASE("systemd: each change of state is one message") {
  FakeManager manager;
  NotifyStarting("upgrading", std::chrono::seconds(90));
  CHECK(manager.Next() == "EXTEND_TIMEOUT_USEC=90000000\nSTATUS=upgrading");
  NotifyReady("accepting jobs");
  CHECK(manager.Next() == "READY=1\nSTATUS=accepting jobs");
  NotifyStopping("finishing");
  CHECK(manager.Next() == "STOPPING=1\nSTATUS=finishing");
  NotifyWatchdog();
  CHECK(manager.Next() == "WATCHDOG=1");
}

TEST_CASE("systemd: a reload carries the monotonic time") {
  FakeManager manager;
  NotifyReloading();
  const std::string message = manager.Next();
  const std::string begin = "RELOADING=1\nMONOTONIC_USEC=";
  REQUIRE(message.starts_with(begin));
  CHECK(std::stoll(message.substr(begin.size())) > 0);
}

TEST_CASE("systemd: a status cannot smuggle in another message") {
  FakeManager manager;
  NotifyStatus("one\nSTOPPING=1\r");
  CHECK(manager.Next() == "STATUS=one STOPPING=1 ");
}

TEST_CASE("systemd: without a service manager nothing happens") {
  ::unsetenv("NOTIFY_SOCKET");
  NotifyReady("accepting jobs");
  NotifyWatchdog();
}
