// tests/daemon/assembly_rig.h — the object graph as the daemon has it, over a real outbox and real sockets.
#pragma once

#include <doctest/doctest.h>

#include <atomic>
#include <filesystem>
#include <future>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "daemon/assembly.h"
#include "daemon/base/wall_clock.h"
#include "tests/daemon/delivery/stub_server.h"
#include "tests/support/outbox_use.h"
#include "tests/support/temp_dir.h"

namespace outboxd::test {

// Hands one job to the clerk and waits until it is stored. Once.
class Producer final : public SubmissionOrigin {
 public:
  void Submit(ClerkThread& clerk, const std::string& line) {
    auto submission = std::make_unique<Submission>(*this);
    submission->jobs.push_back(NewJob(line));
    clerk.Submit(std::move(submission));
    CHECK(stored_.get_future().get());
  }
  void OnAnswered(std::vector<std::unique_ptr<Submission>> submissions) override {
    const std::vector<Ulid>& ids = submissions.at(0)->ids;
    if (!ids.empty()) last_ = ids[0].SequencePart();
    stored_.set_value(ids.size() == 1);
  }
  Sequence last() const { return last_; }  // of the stored job

 private:
  std::promise<bool> stored_;
  Sequence last_{};
};

// The daemon without its main thread, and a stub of the Track API that answers 200 to everything.
class AssemblyRig {
 public:
  AssemblyRig()
      : server_([this](const testing::SeenRequest&, const testing::Peer& peer) { return Take(peer); }) {
    Set("outbox", "{path: \"" + Path("outbox.db") + "\"}");
    Set("listen",
        "{producer: {path: \"" + Path("p.sock") + "\"}, admin: {path: \"" + Path("a.sock") + "\"}}");
    SetConnection("rate_limit: 0");
  }

  void SetConnection(const std::string& more) { Set("connections", "{" + Connection("default", more) + "}"); }
  std::string Connection(const std::string& name, const std::string& more = {},
                         const std::string& credentials = "site_id: site, api_key: key") const {
    return name + ": {base_url: \"" + server_.Url() + "\", " + credentials + ", " + more + "}";
  }
  // Adds or replaces a line of the config.
  void Set(const std::string& key, const std::string& line) {
    lines_[key] = line;
    std::string text;
    for (const auto& [name, value] : lines_) text.append(name).append(": ").append(value).append("\n");
    WriteFile(ConfigFile(), text);
  }
  std::filesystem::path ConfigFile() const { return folder_ / "outboxd.yaml"; }
  std::filesystem::path OutboxFile() const { return folder_ / "outbox.db"; }
  std::filesystem::path operator/(std::string_view name) const { return folder_ / name; }

  std::unique_ptr<Assembly> Build() const {
    auto config = LoadConfig(ConfigFile());
    REQUIRE(config);
    auto built = Assembly::Build(std::move(*config));
    REQUIRE(built);
    return *std::move(built);
  }

  // As if outboxd had crashed three times a moment ago.
  void Crash() const {
    std::string text;
    for (int i = 0; i < 3; ++i) text += std::to_string(ToUnixMs(WallClockNow()) - i) + '\n';
    WriteFile(folder_ / "outbox.db.crashes", text);
  }

  HttpResponse Ask(Assembly& all, std::string_view method, std::string_view path) const {
    HttpRequestView request;
    request.method = method;
    request.path = path;
    return all.admin_api.Handle(request);
  }

  std::size_t requests() const { return requests_; }
  void AwaitRequest() const { requests_.wait(0); }

 private:
  std::string Path(std::string_view name) const { return (folder_ / name).string(); }
  testing::Then Take(const testing::Peer& peer) {
    peer.Answer(200);
    ++requests_;
    requests_.notify_all();
    return testing::Then::kKeep;
  }

  TempDir folder_;
  std::map<std::string, std::string> lines_;  // of the config, by key
  std::atomic<std::size_t> requests_{0};
  testing::StubServer server_;
};

}  // namespace outboxd::test
