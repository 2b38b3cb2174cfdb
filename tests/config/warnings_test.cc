#include "config/warnings.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "config/config.h"
#include "config/credentials.h"

namespace outboxd {
namespace {

class ConfigFile {
 public:
  ConfigFile() {
    std::string pattern = (std::filesystem::temp_directory_path() / "warnings_test.XXXXXX").string();
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    folder_ = pattern;
  }
  ~ConfigFile() { std::filesystem::remove_all(folder_); }
  ConfigFile(const ConfigFile&) = delete;
  ConfigFile& operator=(const ConfigFile&) = delete;

  const std::filesystem::path& Folder() const { return folder_; }
  // What a file of this mode is warned of, with `members` of its connection besides the site id.
  std::vector<std::string> Warnings(mode_t mode, const std::string& members) const {
    const std::filesystem::path file = folder_ / "outboxd.yaml";
    std::ofstream(file) << "connections: {default: {site_id: s, " << members << "}}\n";
    ::chmod(file.c_str(), mode);
    const Result<Config> config = LoadConfig(file);
    REQUIRE_MESSAGE(config.has_value(), (config ? "" : config.error().message));
    return ConfigWarnings(*config);
  }

 private:
  std::filesystem::path folder_;
};

TEST_CASE("warnings: of a key that has another name now") {
  const ConfigFile file;
  CHECK(file.Warnings(0640, "api_key: k, batch: {mode: on}").empty());
  const auto warnings = file.Warnings(0640, "api_key: k, batch: {enabled: true}");
  REQUIRE(warnings.size() == 1);
  CHECK(
      warnings[0] ==
      "connections.default.batch.enabled: write mode: on instead; the next release no longer knows enabled");
}

TEST_CASE("warnings: of credentials with blanks, quotes or NAME= around them") {
  const ConfigFile file;
  for (const auto& [key, odd] :
       {std::pair("' abc'", "has blanks in it"), std::pair("'abc def'", "has blanks in it"),
        std::pair("'\"abc\"'", "stands in quotes"), std::pair("\"'abc'\"", "stands in quotes"),
        std::pair("CIO_API_KEY=abc", "begins with NAME="),
        std::pair("'{\"key\":\"abc\"}'", "looks like JSON"),
        std::pair("'{\"key\": \"abc\"}'", "looks like JSON"), std::pair("'[\"abc\"]'", "looks like JSON"),
        std::pair("'a\"abc'", "has \" or \\ in it"), std::pair("'a\\nabc'", "has \" or \\ in it")}) {
    const auto warnings = file.Warnings(0640, std::string("api_key: ") + key);
    REQUIRE_MESSAGE(warnings.size() == 1, key);
    CHECK(warnings[0].starts_with("connections.default.api_key: it "));
    CHECK(warnings[0].find(odd) != std::string::npos);
    CHECK(warnings[0].find("abc") == std::string::npos);
  }
  for (const char* key : {"abc", "YWJj=", "ABC==", "a=b", "=a"})
    CHECK(file.Warnings(0640, "api_key: '" + std::string(key) + "'").empty());
}

TEST_CASE("warnings: a credentials file of JSON is told as such, where it is refused too") {
  const ConfigFile file;
  const auto told = [&](const std::string& content) {
    const std::filesystem::path key = file.Folder() / "key";
    std::ofstream(key) << content;
    ConnectionConfig connection;
    connection.name = "eu";
    connection.site_id.value = "s";
    connection.api_key.file = key;
    const Result<Credentials> credentials = ReadCredentials(connection);
    const auto warnings = CredentialWarnings(connection);
    CHECK(warnings.size() == (credentials ? 1 : 0));
    const std::string text = credentials ? warnings.at(0) : credentials.error().message;
    CHECK(text.starts_with("connections.eu.api_key_file: " + key.string() + " "));
    CHECK(text.find("abc") == std::string::npos);
    return text;
  };
  CHECK(told("{\"api_key\":\"abc\"}\n").find("looks like JSON") != std::string::npos);
  CHECK(told("{\n  \"api_key\": \"abc\"\n}\n").ends_with("; it looks like JSON: write the value alone"));
  CHECK(told("\"abc\"\n").find("stands in quotes") != std::string::npos);
  CHECK(told("ab\\\"c\n").find("has \" or \\ in it") != std::string::npos);
}

TEST_CASE("warnings: of a base URL without TLS to any other machine") {
  const ConfigFile file;
  for (const std::string url : {"http://api.example.com", "http://10.0.0.1:8080/x",
                                "http://localhost.example.com", "http://128.0.0.1", "http://[::2]:80"}) {
    const auto warnings = file.Warnings(0640, "api_key: k, base_url: '" + url + "'");
    REQUIRE_MESSAGE(warnings.size() == 1, url);
    CHECK(warnings[0].starts_with("connections.default.base_url: http sends the credentials"));
  }
  for (const std::string url : {"https://api.example.com", "http://127.0.0.1:8080", "http://127.1.2.3/x",
                                "http://[::1]:8080", "http://localhost:1", "http://LocalHost/y"})
    CHECK_MESSAGE(file.Warnings(0640, "api_key: k, base_url: '" + url + "'").empty(), url);
}

TEST_CASE("warnings: of a key that stands in a file that others may read, without showing it") {
  const ConfigFile file;
  const auto warnings = file.Warnings(0644, "api_key: sesame-open");
  REQUIRE(warnings.size() == 1);
  CHECK(warnings[0].starts_with("connections.default.api_key: every user of this machine may read "));
  CHECK(warnings[0].find("sesame") == std::string::npos);
  CHECK(file.Warnings(0640, "api_key: sesame-open").empty());
  CHECK(file.Warnings(0644, "api_key_file: /run/key").empty());
  ::setenv("WARNINGS_TEST_KEY", "from-elsewhere", 1);
  CHECK(file.Warnings(0644, "api_key: '${WARNINGS_TEST_KEY}'").empty());
  ::unsetenv("WARNINGS_TEST_KEY");
}

}  // namespace
}  // namespace outboxd
