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
  std::vector<std::string> warnings;  // of each connection
  std::string needs_restart;

  std::vector<std::string> calls;
  DeadFilter filter;

  std::optional<Error> busy;  // what every question fails with

  Health CheckHealth() override { return status.health; }
  Result<DaemonStatus> Status() override {
    if (busy) return Failure(*busy);
    return status;
  }
  Result<std::vector<std::optional<JobPlace>>> Places(std::span<const Sequence> sequences) override {
    if (busy) return Failure(*busy);
    std::vector<std::optional<JobPlace>> found;
    for (const Sequence sequence : sequences) {
      const auto place = places.find(sequence);
      found.push_back(place == places.end() ? std::nullopt : std::optional(place->second));
    }
    return found;
  }
  Result<std::vector<Sequence>> InFlight() override {
    if (busy) return Failure(*busy);
    return in_flight;
  }

  Result<ConnectionStatus> Pause(const std::string& connection) override {
    return OfConnection("pause", connection);
  }
  Result<ConnectionStatus> Resume(const std::string& connection) override {
    return OfConnection("resume", connection);
  }
  Result<ProbeReport> Probe(const std::string& connection) override {
    return Done("probe " + connection, probe);
  }
  std::vector<std::string> WarningsOf(const std::string&) override { return warnings; }
  Result<std::uint64_t> CountDead(const DeadFilter& which) override { return Change("count", which); }
  Result<std::uint64_t> Redrive(const DeadFilter& which) override { return Change("redrive", which); }
  Result<void> Amend(const OperatorWork::Amendment& amendment, std::chrono::seconds) override {
    return DoneWithout("amend " + amendment.job + " " + amendment.customer + " " + amendment.line);
  }
  Result<std::uint64_t> Drop(const DeadFilter& which) override { return Change("drop", which); }
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
  Result<std::string> Reload() override { return Done("reload", needs_restart); }

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
  Result<std::uint64_t> Change(const std::string& verb, const DeadFilter& which) {
    filter = which;
    return Done<std::uint64_t>(verb, 5);
  }
};

}  // namespace outboxd::test
