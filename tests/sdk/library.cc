#include "tests/sdk/library.h"

#include "tests/support/give_up.h"

namespace outboxd {
namespace {

constexpr std::chrono::seconds kPatience{60};

}  // namespace

Workbench::Workbench(const Library& library) : library_(library) {
  namespace fs = std::filesystem;
  for (const fs::directory_entry& entry : fs::directory_iterator(SDK_SOURCE_DIR)) {
    if (entry.path().extension() == ".mjs" || entry.path().extension() == ".py")
      fs::copy(entry.path(), dir_.Path());
  }
  if (library_.package.empty()) return;
  const fs::path package = fs::path(SDK_NODE_MODULES) / library_.package;
  if (!fs::exists(package)) GiveUp("not installed: " + package.string());
  fs::create_directory(dir_ / "node_modules");
  fs::create_directory_symlink(package, dir_ / "node_modules/customerio-node");
}

ProcessOptions Workbench::Driver(const std::string& base_url,
                                 const std::vector<std::string>& arguments) const {
  const SimOptions account = SdkAccount();
  ProcessOptions run;
  run.command = {std::string(library_.interpreter), dir_ / library_.driver, base_url, account.site_id,
                 account.api_key};
  run.command.insert(run.command.end(), arguments.begin(), arguments.end());
  return run;
}

ProcessOptions Workbench::Program(std::string_view source) const {
  WriteFile(dir_ / "program.mjs", source);
  ProcessOptions run;
  run.command = {"node", dir_ / "program.mjs"};
  return run;
}

std::vector<CallMade> ReadCalls(const std::string& out) {
  std::vector<CallMade> calls;
  for (std::size_t start = 0, end = 0; (end = out.find('\n', start)) != std::string::npos; start = end + 1) {
    Result<JsonValue> line = JsonValue::Parse(std::string_view(out).substr(start, end - start));
    if (!line) GiveUp("the driver wrote " + out.substr(start, end - start));
    if (line->Has("replay")) continue;
    calls.push_back(
        {(*line)["call"].String(), (*line)["error"].String(), (*line)["ok"].Bool(), (*line)["answer"]});
  }
  return calls;
}

std::vector<CallMade> MakeCalls(const Library& library, const std::string& base_url,
                                const std::vector<std::string>& arguments) {
  const Workbench workbench(library);
  const Finished finished = Run(workbench.Driver(base_url, arguments), kPatience);
  if (finished.status.code != 0) GiveUp(std::string(library.name) + " ends with " + finished.err);
  return ReadCalls(finished.out);
}

SimOptions SdkAccount() {
  return {.site_id = "si?>te", .api_key = "k?~>y"};
}

std::uint16_t FreePort() {
  SimUnderTest neighbour;
  neighbour.Stop();
  return neighbour.Port();
}

std::string LocalUrl(std::uint16_t port, Wire wire) {
  return (wire == Wire::kTls ? "https://127.0.0.1:" : "http://127.0.0.1:") + std::to_string(port);
}

ConfigValues Endpoint(std::uint16_t port, Wire wire) {
  const std::string options = wire == Wire::kTls ? ", tls: true}]" : "}]";
  return {{"listen.track", "[{tcp: 127.0.0.1:" + std::to_string(port) + options},
          {"retry.max_attempts", "1000"}};
}

std::string MakeCertificates(const DaemonUnderTest& daemon) {
  ProcessOptions run;
  run.command = {OUTBOXCTL_BINARY, "--config", daemon.ConfigFile(), "tls-init"};
  const Finished made = Run(std::move(run));
  if (made.status.code != 0) GiveUp("tls-init: " + made.err);
  return daemon.Dir() / "tls/ca.pem";
}

}  // namespace outboxd
