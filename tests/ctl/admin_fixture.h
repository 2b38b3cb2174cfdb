// tests/ctl/admin_fixture.h — a daemon whose answers to outboxctl are written in the test.
#pragma once

#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/ctl/fake_daemon.h"

namespace outboxd::test {

// A daemon that gives one answer to everything.
struct AdminFixture {
  explicit AdminFixture(AdminAnswer answer)
      : AdminFixture([answer](const AdminRequest&) { return answer; }) {}
  explicit AdminFixture(FakeAdmin::Handler handler) : admin(folder / "admin.sock", std::move(handler)) {}

  Ran Run(std::vector<std::string> arguments, const RunOptions& options = {}) {
    arguments.insert(arguments.begin(), {"--socket", (folder / "admin.sock").string(), "--utc"});
    return RunCtl(arguments, options);
  }
  AdminRequest Last() {
    const std::vector<AdminRequest> requests = admin.Requests();
    REQUIRE_FALSE(requests.empty());
    return requests.back();
  }

  TempFolder folder;
  FakeAdmin admin;
};

}  // namespace outboxd::test
