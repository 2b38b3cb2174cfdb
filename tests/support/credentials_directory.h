// tests/support/credentials_directory.h — what a service manager hands over: a folder with a file for each
// credential, named by $CREDENTIALS_DIRECTORY of this process and those it starts.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>

#include "tests/support/temp_dir.h"

namespace outboxd::test {

// Make it before whatever has threads.
class CredentialsDirectory {
 public:
  CredentialsDirectory() { ::setenv("CREDENTIALS_DIRECTORY", folder_.Path().c_str(), 1); }
  ~CredentialsDirectory() { ::unsetenv("CREDENTIALS_DIRECTORY"); }
  CredentialsDirectory(const CredentialsDirectory&) = delete;
  CredentialsDirectory& operator=(const CredentialsDirectory&) = delete;

  std::filesystem::path operator/(std::string_view name) const { return folder_ / name; }
  // As SetCredential= of the unit has it while the operator's file is missing.
  void WriteBlank(std::string_view name) const { WriteFile(folder_ / name, "\n"); }
  void Write(std::string_view name, const std::string& value) const {
    WriteFile(folder_ / name, value + "\n");
  }
  // For a config: both of a connection's.
  std::string Members() const {
    return "site_id_file: \"" + (folder_ / "site_id").string() + "\", api_key_file: \"" +
           (folder_ / "api_key").string() + "\"";
  }

 private:
  TempDir folder_;
};

}  // namespace outboxd::test
