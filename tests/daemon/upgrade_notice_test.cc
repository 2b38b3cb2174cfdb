#include "daemon/upgrade_notice.h"

#include <doctest/doctest.h>

#include <string>

#include "tests/support/fake_manager.h"
#include "tests/support/stderr_capture.h"

namespace outboxd {
namespace {

using test::FakeManager;
using test::StderrCapture;

TEST_CASE(
    "upgrade notice: says from which format to which and for how long, and asks for more time than that") {
  FakeManager manager;
  const StderrCapture log;
  UpgradeNotice notice;
  notice.Before({4, 5, false, 2'000'000'000});
  CHECK(manager.Next() ==
        "EXTEND_TIMEOUT_USEC=2301000000\nSTATUS=upgrading the outbox from disk format 4 to 5 (2000 MB, about "
        "1m 41s); if interrupted it begins anew");
  CHECK(log.Count("upgrading the outbox from_format=4 to_format=5 bytes=2000000000 takes_about=\"1m 41s\"") ==
        1);
  notice.After();
  CHECK(log.Count("the outbox is upgraded") == 1);
  CHECK(manager.Next().empty());
}

TEST_CASE("upgrade notice: of a file whose pages alone are rewritten") {
  FakeManager manager;
  const StderrCapture log;
  UpgradeNotice().Before({5, 5, true, 30'000'000});
  CHECK(
      manager.Next().starts_with("EXTEND_TIMEOUT_USEC=331000000\nSTATUS=rewriting the outbox with smaller "
                                 "pages (30 MB, about 2s)"));
}

TEST_CASE("upgrade notice: where there was nothing to do nothing is said") {
  FakeManager manager;
  const StderrCapture log;
  UpgradeNotice().After();
  CHECK(log.Count("outbox") == 0);
  CHECK(manager.Next().empty());
}

}  // namespace
}  // namespace outboxd
