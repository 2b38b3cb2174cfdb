// tests/system/tls.h — authorities of a test's own, and TLS in front of the simulated API.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/give_up.h"
#include "tests/system/scene.h"

namespace outboxd {

// A certificate authority of the test's own.
class Authority {
 public:
  // Of two with one name OpenSSL looks at the first that it finds alone.
  explicit Authority(const std::string& name = "authority") {
    OpenSsl({"req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
             "/CN=" + name, "-keyout", folder_ / "ca.key", "-out", Certificate(), "-days", "1"});
  }
  std::filesystem::path Certificate() const { return folder_ / "ca.pem"; }

  struct Signed {
    std::filesystem::path certificate, key;
  };
  // For a host as OpenSSL names it ("IP:127.0.0.1"); good for `days`, and with -1 until yesterday.
  Signed Sign(const std::string& host, const std::string& days = "1") const {
    Signed signature{folder_ / (host + days + ".pem"), folder_ / (host + days + ".key")};
    const std::filesystem::path request = folder_ / "request";
    OpenSsl({"req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
             "/CN=server", "-addext", "subjectAltName=" + host, "-keyout", signature.key, "-out", request});
    OpenSsl({"x509", "-req", "-in", request, "-CA", Certificate(), "-CAkey", folder_ / "ca.key",
             "-CAcreateserial", "-copy_extensions", "copy", "-days", days, "-out", signature.certificate});
    return signature;
  }

 private:
  static void OpenSsl(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "openssl");
    ProcessOptions run;
    run.command = std::move(arguments);
    const Finished ended = Run(std::move(run));
    if (ended.status.code != 0) GiveUp("openssl: " + ended.err);
  }

  TempDir folder_;
};

enum class TlsAge { kNew, kOld };  // kOld: nothing later than TLS 1.1

// TLS in front of the simulated API.
class TlsFront {
 public:
  TlsFront(const SimUnderTest& sim, const Authority::Signed& identity, TlsAge age = TlsAge::kNew)
      : process_({.command = {"python3", TLS_FRONT, identity.certificate, identity.key,
                              std::to_string(sim.Port()), age == TlsAge::kOld ? "old" : "new"},
                  .environment = {},
                  .input = {},
                  .out = {},
                  .err = {}}) {}

  std::string Url() const {
    if (!Await([this] { return process_.Out().ends_with('\n'); })) GiveUp("no TLS front: " + process_.Err());
    const std::string port = process_.Out();
    return "https://127.0.0.1:" + port.substr(0, port.size() - 1);
  }

 private:
  Process process_;
};

}  // namespace outboxd
