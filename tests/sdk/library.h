// tests/sdk/library.h — Customer.io's libraries as programs: each makes every call it has and says of each
// whether it succeeded.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/daemon_under_test.h"
#include "tests/support/process.h"
#include "tests/support/sim_under_test.h"

namespace outboxd {

struct Library {
  std::string_view name;
  std::string_view interpreter;
  std::string_view driver;   // a file of tests/sdk
  std::string_view package;  // what "customerio-node" means to the driver: a folder of node_modules
};

inline constexpr Library kNode5{"customerio-node 5.2", "node", "node5.mjs", "customerio-node"};
inline constexpr Library kNode4{"customerio-node 4.4", "node", "node4.mjs", "customerio-node-4"};
inline constexpr Library kPython{"a replay of customerio-python 3.0", "python3", "python_replay.py", ""};
inline constexpr Library kRuby{"a replay of customerio-ruby 6.2", "python3", "ruby_replay.py", ""};
inline constexpr Library kPhp{"a replay of printu/customerio 3.6", "python3", "php_replay.py", ""};
inline constexpr Library kGo{"a replay of go-customerio 3.8", "python3", "go_replay.py", ""};
// Counted events, for outboxd to be killed in between.
inline constexpr Library kStepProgram{"customerio-node 5.2", "node", "steps.mjs", "customerio-node"};

struct CallMade {
  std::string call, error;
  bool ok = false;
  JsonValue answer;
};

// A folder of its own, in which programs find "customerio-node" in the version of `package`.
class Workbench {
 public:
  explicit Workbench(const Library& library);

  // The driver, told where to send to and what comes after that.
  ProcessOptions Driver(const std::string& base_url, const std::vector<std::string>& arguments) const;
  // Any other program for Node.
  ProcessOptions Program(std::string_view source) const;

 private:
  Library library_;
  TempDir dir_;
};

// Whole lines only, so that a driver may still be writing.
std::vector<CallMade> ReadCalls(const std::string& out);
// Runs the driver to its end; gives up when it fails.
std::vector<CallMade> MakeCalls(const Library& library, const std::string& base_url,
                                const std::vector<std::string>& arguments);

// Site id and key whose base64 differs between the two alphabets.
SimOptions SdkAccount();
// Taken from the kernel, and free a moment ago.
std::uint16_t FreePort();

enum class Wire { kPlain, kTls };

std::string LocalUrl(std::uint16_t port, Wire wire = Wire::kPlain);
// Config of a daemon that listens for the libraries, and gives up on no job for the sake of an outage.
ConfigValues Endpoint(std::uint16_t port, Wire wire = Wire::kPlain);
// Before the daemon's start. The file of the authority that signed its certificate.
std::string MakeCertificates(const DaemonUnderTest& daemon);

}  // namespace outboxd
