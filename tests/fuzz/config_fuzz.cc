// Any text as a config: read, or refused with lines that name the file and hold no secret and no control
// bytes.
#include <string>

#include "config/config.h"
#include "tests/fuzz/demand.h"

namespace outboxd {
namespace {

void CheckAccepted(const Config& config) {
  Demand(config.workers > 0, "there is a worker");
  Demand(config.limits.line_bytes > 0 && config.limits.window_jobs > 0, "no limit is nothing");
  for (const auto& [name, connection] : config.connections) {
    Demand(!name.empty() && connection.name == name, "a connection has its name");
    Demand(connection.max_in_flight > 0, "a connection may send");
    Demand(!connection.base_url || !connection.base_url->ends_with('/'),
           "a base URL does not end in a slash");
    Demand(!connection.BaseUrl(Region::kEu).empty(), "a connection goes somewhere");
  }
}

}  // namespace
}  // namespace outboxd

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace outboxd;
  const std::string text(AsText(data, size));
  const Result<Config> config = ParseConfig(text, "f.yaml");
  if (config) {
    CheckAccepted(*config);
    return 0;
  }
  Demand(config.error().kind == ErrorKind::kInvalid, "a wrong config is invalid, and nothing else");
  Demand(config.error().message.starts_with("f.yaml"), "an error names the file");
  for (const char byte : config.error().message) {
    Demand(static_cast<unsigned char>(byte) >= ' ' || byte == '\n', "an error has no control bytes");
  }
  return 0;
}
