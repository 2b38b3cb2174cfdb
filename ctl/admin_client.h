// ctl/admin_client.h — the daemon's admin API over its Unix socket (docs/admin-api.md).
//
// Errors: kUnavailable = the daemon could not be reached or did not answer in time; any other kind is the
// daemon's own refusal, with its message. Belongs to one thread.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "core/json.h"
#include "core/result.h"
#include "ctl/options.h"

namespace outboxd {

// Whether the daemon may take as long as its work needs (backup, forget, redrive, drop), while it answers
// other questions.
enum class Patience { kBrief, kAsLongAsItTakes };

class AdminClient {
 public:
  explicit AdminClient(std::filesystem::path socket);
  ~AdminClient();
  AdminClient(const AdminClient&) = delete;
  AdminClient& operator=(const AdminClient&) = delete;

  Result<JsonValue> Get(std::string_view path, const Query& query = {});
  Result<std::string> GetText(std::string_view path);
  Result<JsonValue> Post(std::string_view path, const std::string& body = "{}",
                         Patience patience = Patience::kBrief);

 private:
  Result<std::string> Perform(const std::string& target, const std::string* body, Patience patience);

  std::filesystem::path socket_;
  struct Handle;
  std::unique_ptr<Handle> handle_;
};

}  // namespace outboxd
