#include "daemon/intake/track_accounts.h"

#include <doctest/doctest.h>

#include <memory>
#include <string>

#include "tests/support/credentials_directory.h"
#include "tests/support/temp_dir.h"

namespace outboxd {
namespace {

std::shared_ptr<const Endpoint> EndpointOf(const std::string& site_id, const std::string& api_key) {
  auto endpoint = std::make_shared<Endpoint>();
  endpoint->credentials = {.site_id = site_id, .api_key = api_key};
  return endpoint;
}

std::string NameOrNone(const std::shared_ptr<const TrackAccount>& account) {
  return account ? account->name : "none";
}

TEST_CASE("track accounts: credentials are those of one connection, or nobody's") {
  TrackAccounts accounts({{"one", EndpointOf("a", "x")}, {"two", EndpointOf("b", "y")}});
  CHECK(NameOrNone(accounts.Find("a:x")) == "one");
  CHECK(NameOrNone(accounts.Find("b:y")) == "two");
  for (const char* wrong : {"", "a", "a:", "a:y", "a:xx", "aa:x", ":x"})
    CHECK_MESSAGE(NameOrNone(accounts.Find(wrong)) == "none", wrong);
  CHECK(accounts.Find("a:x")->base_url.starts_with("https://"));
  CHECK(accounts.Find("a:x")->region == "us");
}

TEST_CASE("track accounts: without credentials it is the only connection, or the one called default") {
  CHECK(NameOrNone(TrackAccounts({{"one", EndpointOf("a", "x")}}).WithoutCredentials()) == "one");
  const Endpoints two{{"default", EndpointOf("a", "x")}, {"other", EndpointOf("b", "y")}};
  CHECK(NameOrNone(TrackAccounts(two).WithoutCredentials()) == "default");
  const Endpoints strangers{{"one", EndpointOf("a", "x")}, {"two", EndpointOf("b", "y")}};
  CHECK(NameOrNone(TrackAccounts(strangers).WithoutCredentials()) == "none");
}

TEST_CASE("track accounts: whose credentials are awaited is nobody's account, until they are there") {
  const test::CredentialsDirectory handed;
  handed.WriteBlank("site_id");
  handed.Write("api_key", "x");
  auto awaiting = std::make_shared<Endpoint>();
  awaiting->config.site_id.file = handed / "site_id";
  awaiting->config.api_key.file = handed / "api_key";
  awaiting->credentials = *ReadCredentials(awaiting->config);
  TrackAccounts accounts({{"one", awaiting}, {"two", EndpointOf("b", "y")}});
  CHECK(accounts.AreSomeAwaited());
  for (const char* none : {"", ":", ":x", "x", "a:x"})
    CHECK_MESSAGE(NameOrNone(accounts.Find(none)) == "none", none);
  CHECK(NameOrNone(accounts.Find("b:y")) == "two");
  CHECK(NameOrNone(TrackAccounts({{"one", awaiting}}).WithoutCredentials()) == "one");

  handed.Write("site_id", "a");
  TrackAccounts reread({{"one", awaiting}});
  CHECK(NameOrNone(reread.Find("a:x")) == "one");
  CHECK_FALSE(reread.AreSomeAwaited());
}

TEST_CASE("track accounts: a file that is emptied later leaves the account as it was") {
  const test::CredentialsDirectory handed;
  handed.Write("site_id", "a");
  handed.Write("api_key", "x");
  auto endpoint = std::make_shared<Endpoint>();
  endpoint->config.site_id.file = handed / "site_id";
  endpoint->config.api_key.file = handed / "api_key";
  endpoint->credentials = *ReadCredentials(endpoint->config);
  TrackAccounts accounts({{"one", endpoint}});
  handed.WriteBlank("api_key");
  CHECK(NameOrNone(accounts.Find("a:")) == "none");  // reads the files again
  CHECK(NameOrNone(accounts.Find("a:x")) == "one");
}

TEST_CASE("track accounts: an account that was found lives on when the config changes") {
  TrackAccounts accounts({{"one", EndpointOf("a", "x")}});
  const std::shared_ptr<const TrackAccount> found = accounts.Find("a:x");
  accounts.Configure({{"two", EndpointOf("b", "y")}});
  CHECK(found->name == "one");
  CHECK(NameOrNone(accounts.Find("a:x")) == "none");
  CHECK(NameOrNone(accounts.Find("b:y")) == "two");
}

}  // namespace
}  // namespace outboxd
