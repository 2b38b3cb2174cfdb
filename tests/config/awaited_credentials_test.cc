// Credentials that the service manager does not have yet, apart from those that are wrong.
#include <doctest/doctest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "config/config.h"
#include "config/credentials.h"
#include "config/named_files.h"
#include "config/warnings.h"
#include "tests/support/credentials_directory.h"
#include "tests/support/temp_dir.h"

namespace outboxd {
namespace {

using test::CredentialsDirectory;

ConnectionConfig ConnectionWith(const std::filesystem::path& site_id, const std::filesystem::path& api_key) {
  ConnectionConfig connection;
  connection.name = "default";
  connection.site_id.file = site_id;
  connection.api_key.file = api_key;
  return connection;
}

TEST_CASE("awaited credentials: an empty file of the service manager's is not there yet") {
  const CredentialsDirectory handed;
  handed.Write("site_id", "site");
  const ConnectionConfig connection = ConnectionWith(handed / "site_id", handed / "api_key");
  for (const char* content : {"", "\n", "\r\n\n", "\xEF\xBB\xBF\n"}) {
    CAPTURE(content);
    WriteFile(handed / "api_key", content);
    const Result<Credentials> credentials = ReadCredentials(connection);
    REQUIRE_MESSAGE(credentials, (credentials ? "" : credentials.error().message));
    CHECK(credentials->site_id == "site");
    CHECK(credentials->api_key.empty());
    CHECK(credentials->awaited == std::vector<std::string>{"api_key"});
    CHECK(AwaitedText(*credentials, "/etc/outboxd/outboxd.yaml") ==
          "its credentials are not there yet: write /etc/outboxd/credentials/api_key, then it delivers by "
          "itself");
  }
  handed.Write("api_key", "key");
  CHECK(*ReadCredentials(connection) == Credentials{"site", "key"});
  CHECK(AwaitedText(*ReadCredentials(connection), "/etc/outboxd/outboxd.yaml").empty());
}

TEST_CASE("awaited credentials: each that is missing is named with its place") {
  const CredentialsDirectory handed;
  handed.WriteBlank("eu_site");
  handed.WriteBlank("eu_key");
  const auto credentials = ReadCredentials(ConnectionWith(handed / "eu_site", handed / "eu_key"));
  REQUIRE(credentials);
  CHECK(AwaitedText(*credentials, "/srv/outboxd.yaml") ==
        "its credentials are not there yet: write /srv/credentials/eu_site and /srv/credentials/eu_key, then "
        "it delivers by itself");
  ::setenv("OUTBOXD_CREDENTIALS", "/etc/outboxd/credentials/shop", 1);
  CHECK(AwaitedText(*credentials, "/srv/outboxd.yaml") ==
        "its credentials are not there yet: write /etc/outboxd/credentials/shop/eu_site and "
        "/etc/outboxd/credentials/shop/eu_key, then it delivers by itself");
  ::unsetenv("OUTBOXD_CREDENTIALS");
}

TEST_CASE(
    "awaited credentials: an empty file elsewhere, and one that the service manager lacks, are errors") {
  const CredentialsDirectory handed;
  const TempDir elsewhere;
  handed.Write("site_id", "site");
  WriteFile(elsewhere / "api_key", "\n");
  const auto refused = [&](const std::filesystem::path& api_key) {
    const auto credentials = ReadCredentials(ConnectionWith(handed / "site_id", api_key));
    REQUIRE_FALSE(credentials);
    return credentials.error().message;
  };
  CHECK(refused(elsewhere / "api_key").ends_with(" is empty"));
  std::filesystem::create_directory(handed / "sub");
  WriteFile(handed / "sub/api_key", "\n");
  CHECK(refused(handed / "sub/api_key").ends_with(" is empty"));
  CHECK(refused(handed / "absent").ends_with("No such file or directory"));
}

TEST_CASE("awaited credentials: a check warns of them and finds nothing wrong") {
  const CredentialsDirectory handed;
  const TempDir folder;
  handed.WriteBlank("site_id");
  handed.Write("api_key", "key");
  WriteFile(folder / "outboxd.yaml", "outbox: {path: \"" + (folder / "outbox.db").string() +
                                         "\"}\nconnections: {default: {" + handed.Members() + "}}\n");
  const auto config = LoadConfig(folder / "outboxd.yaml");
  REQUIRE(config);
  CHECK(CheckFiles(*config).empty());
  CHECK(ConfigWarnings(*config) ==
        std::vector<std::string>{"connections.default: its credentials are not there yet: write " +
                                 (folder / "credentials/site_id").string() + ", then it delivers by itself"});
}

}  // namespace
}  // namespace outboxd
