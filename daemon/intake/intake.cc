#include "daemon/intake/intake.h"

#include <chrono>
#include <memory>
#include <utility>

#include "config/config.h"
#include "config/log_level.h"
#include "config/loopback_certificate.h"
#include "core/limits.h"
#include "core/result.h"
#include "core/time.h"
#include "daemon/base/current_config.h"
#include "daemon/base/environments.h"
#include "daemon/base/late_listener.h"
#include "daemon/base/log.h"
#include "daemon/base/metrics.h"
#include "daemon/base/passed_sockets.h"
#include "daemon/base/unix_socket.h"
#include "daemon/clerk/submission.h"
#include "daemon/delivery/endpoint.h"
#include "daemon/intake/inherited.h"
#include "daemon/intake/job_reader.h"
#include "daemon/intake/kept_connections.h"
#include "daemon/intake/producer_listener.h"
#include "daemon/intake/track_listeners.h"

namespace outboxd {
namespace {

constexpr std::chrono::hours kCertificateInterval{1};

JobReader::LongestAges LongestAgesOf(const Config& config) {
  JobReader::LongestAges ages;
  for (const auto& [name, connection] : config.connections)
    ages.emplace(name, connection.retry.max_age * limits::kMaxAgeFactor);
  return ages;
}

}  // namespace

Intake::Intake(const Config& config, const Endpoints& endpoints, const Environments& environments,
               Metrics& metrics, const Submit& submit, KeptConnections* kept)
    : kept_(kept) {
  if (!config.track.empty())
    endpoint_.emplace(endpoints, environments, config.limits.line_bytes, metrics, submit);
}

Result<std::unique_ptr<Intake>> Intake::Open(const Config& config, Inherited& inherited,
                                             const Endpoints& endpoints, const Environments& environments,
                                             Metrics& metrics, const Submit& submit) {
  ASSIGN_OR_RETURN(UnixListener socket, ListenAt(config.producer, "producer", inherited.sockets));
  std::unique_ptr<Intake> intake(
      new Intake(config, endpoints, environments, metrics, submit, inherited.connections));
  ASSIGN_OR_RETURN(intake->producers_,
                   ProducerListener::Open(std::move(socket), config.limits, LongestAgesOf(config), metrics,
                                          submit, inherited.connections));
  return intake;
}

Result<void> Intake::ServeTrack(const Config& config, PassedSockets& passed, ListenerStates& states,
                                Timestamp now) {
  if (!endpoint_) return {};
  ASSIGN_OR_RETURN(TrackListeners listeners,
                   TrackListeners::Open(config.track, passed, config.limits,
                                        LoopbackDirectory(config.outbox.path), *endpoint_, states, now));
  listeners_.emplace(std::move(listeners));
  return {};
}

void Intake::Configure(const Config& config, const Endpoints& endpoints) {
  producers_->Configure(config.limits, LongestAgesOf(config));
  if (endpoint_) endpoint_->Configure(endpoints, config.limits.line_bytes);
  limits_changed_ = true;
}

void Intake::Refresh(const CurrentConfig& config, Timestamp now) {
  if (kept_ != nullptr) kept_->Tick(std::chrono::steady_clock::now());
  if (!listeners_) return;
  listeners_->Tick(std::chrono::steady_clock::now());
  endpoint_->Tick(std::chrono::steady_clock::now());
  const bool is_reloaded = limits_changed_.exchange(false);
  const bool is_recent = now >= certificates_checked_ && now < certificates_checked_ + kCertificateInterval;
  if (!is_reloaded && is_recent) return;
  certificates_checked_ = now;
  // Got after the flag was taken: the limits of that reload or a later one.
  const Result<void> refreshed =
      is_reloaded ? listeners_->Reload(config.Get()->limits, now) : listeners_->Refresh(now);
  if (!refreshed)
    Log(LogLevel::kWarn, "listen.track stays as it was", {{"reason", refreshed.error().message}});
}

void Intake::BeginToStop() {
  if (listeners_) listeners_->EndWithAnswers();
}

void Intake::Stop(Milliseconds patience) {
  if (std::exchange(stopped_, true)) return;
  listeners_.reset();
  producers_->Stop(patience);
  if (kept_ != nullptr) kept_->Finish();
}

}  // namespace outboxd
