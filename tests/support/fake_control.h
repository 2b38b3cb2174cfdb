// tests/support/fake_control.h — a Control that answers what a test tells it and remembers what it was asked.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "daemon/admin/control.h"

namespace outboxd::test {

class FakeControl final : public Control {
 public:
  DaemonStatus status;
  std::map<Sequence, JobPlace> places;
  std::vector<Sequence> in_flight;
  std::optional<Error> error;  // what every command fails with
  ProbeReport probe;

  std::vector<std::string> calls;
  DeadFilter filter;

  DaemonStatus Status() override { return status; }
  std::vector<std::optional<JobPlace>> Places(std::span<const Sequence> sequences) override {
    std::vector<std::optional<JobPlace>> found;
    for (const Sequence sequence : sequences) {
      const auto place = places.find(sequence);
      found.push_back(place == places.end() ? std::nullopt : std::optional(place->second));
    }
    return found;
  }
  std::vector<Sequence> InFlight() override { return in_flight; }

  Result<ConnectionStatus> Pause(const std::string& connection) override {
    return OfConnection("pause", connection);
  }
  Result<ConnectionStatus> Resume(const std::string& connection) override {
    return OfConnection("resume", connection);
  }
  Result<ProbeReport> Probe(const std::string& connection) override {
    return Done("probe " + connection, probe);
  }
  Result<ChangeCount> Redrive(const DeadFilter& which, bool dry_run) override {
    return Change("redrive", which, dry_run);
  }
  Result<ChangeCount> Drop(const DeadFilter& which, bool dry_run) override {
    return Change("drop", which, dry_run);
  }
  Result<void> Cancel(Sequence sequence) override {
    return DoneWithout("cancel " + std::to_string(ToNumber(sequence)));
  }
  Result<ForgetCount> Forget(const std::string& customer,
                             const std::optional<std::string>& connection) override {
    return Done("forget " + customer + " " + connection.value_or("everywhere"), ForgetCount{1, 2, 3});
  }
  Result<std::uint64_t> Backup(const std::filesystem::path& file) override {
    return Done<std::uint64_t>("backup " + file.string(), 4'096);
  }
  Result<void> Reload() override { return DoneWithout("reload"); }

 private:
  template <typename Value>
  Result<Value> Done(const std::string& call, Value value) {
    calls.push_back(call);
    if (error) return Failure(*error);
    return value;
  }
  Result<void> DoneWithout(const std::string& call) {
    calls.push_back(call);
    if (error) return Failure(*error);
    return {};
  }
  Result<ConnectionStatus> OfConnection(const std::string& verb, const std::string& name) {
    ConnectionStatus connection;
    connection.name = name;
    return Done(verb + " " + name, connection);
  }
  Result<ChangeCount> Change(const std::string& verb, const DeadFilter& which, bool dry_run) {
    filter = which;
    return Done(verb + (dry_run ? " dry" : ""), ChangeCount{5, dry_run ? 0U : 4U});
  }
};

}  // namespace outboxd::test
