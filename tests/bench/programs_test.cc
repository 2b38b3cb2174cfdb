// The programs of the benchmark with each other, in place of the daemon the bare loop.
#include <doctest/doctest.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/json.h"
#include "tests/support/await.h"
#include "tests/support/give_up.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace outboxd::bench {
namespace {

using Words = std::vector<std::string>;

ProcessOptions Command(Words words) {
  ProcessOptions options;
  options.command = std::move(words);
  return options;
}

JsonValue ReportOf(const std::string& text) {
  Result<JsonValue> report = JsonValue::Parse(text.substr(0, text.find('\n')));
  if (!report) GiveUp("no report: " + text);
  return std::move(*report);
}

class TlsSink {
 public:
  TlsSink() {
    const Finished made =
        Run(Command({"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                     "-nodes", "-days", "1", "-subj", "/CN=sink", "-addext", "subjectAltName=IP:127.0.0.1",
                     "-keyout", folder_ / "key", "-out", Certificate()}));
    if (made.status.code != 0) GiveUp("openssl: " + made.err);
    process_.emplace(Command(
        {BENCH_SINK, "--tls-certificate", Certificate(), "--tls-key", folder_ / "key", "--delay-ms", "5"}));
    if (!Await([this] { return process_->Out().ends_with('\n'); })) GiveUp("no sink: " + process_->Err());
  }
  std::string Certificate() const { return folder_ / "certificate"; }
  std::string Url() const {
    const std::string port = process_->Out();
    return "https://127.0.0.1:" + port.substr(0, port.size() - 1);
  }

 private:
  TempDir folder_;
  std::optional<Process> process_;
};

}  // namespace

TEST_CASE("bench programs: at a rate events come evenly, and the bare loop delivers each over TLS") {
  constexpr std::int64_t kEvents = 60;
  const TempDir folder;
  const TlsSink sink;
  const std::string socket = folder / "s", count = std::to_string(kEvents);
  Process bare(Command({BENCH_BARE, "accept", "--socket", socket, "--file", folder / "bare.db", "--count",
                        count, "--deliver-to", sink.Url(), "--ca-file", sink.Certificate()}));
  REQUIRE(Await([&] { return std::filesystem::exists(socket); }));
  const Finished fed = Run(Command({BENCH_FEEDER, "--socket", socket, "--count", count, "--rate", "200",
                                    "--connections", "4", "--window", "4"}));
  INFO(fed.err);
  REQUIRE(fed.status.code == 0);
  const JsonValue report = ReportOf(fed.out);
  CHECK(report["ok"].Int() == kEvents);
  CHECK(report["seconds"].Number() >= static_cast<double>(kEvents - 1) / 200);  // the last one is due then
  REQUIRE(bare.Wait(std::chrono::seconds(30)));
  INFO(bare.Err());
  const JsonValue loop = ReportOf(bare.Out());
  CHECK(loop["lines"].Int() == kEvents);
  CHECK(loop["commits"].Int() > 1);
  CHECK(loop["switches"].Int() > 0);
}

TEST_CASE("bench programs: libcurl posts to the sink over TLS, and not without its authority") {
  const TlsSink sink;
  const auto post = [&](Words more) {
    Words words = {BENCH_BARE, "post", "--url", sink.Url(), "--count", "200", "--in-flight", "8"};
    words.insert(words.end(), more.begin(), more.end());
    return Run(Command(std::move(words)));
  };
  const Finished posted = post({"--ca-file", sink.Certificate()});
  INFO(posted.err);
  REQUIRE(posted.status.code == 0);
  CHECK(ReportOf(posted.out)["events"].Int() == 200);
  CHECK(post({}).status.code == 1);
}

}  // namespace outboxd::bench
