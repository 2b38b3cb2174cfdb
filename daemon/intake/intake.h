// daemon/intake/intake.h — all ways in which jobs come in: the producer socket and, where configured, the
// Track-compatible endpoint with its listeners.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <optional>

#include "config/config.h"
#include "core/result.h"
#include "core/time.h"
#include "daemon/base/current_config.h"
#include "daemon/base/environments.h"
#include "daemon/base/late_listener.h"
#include "daemon/base/metrics.h"
#include "daemon/base/passed_sockets.h"
#include "daemon/clerk/submission.h"
#include "daemon/delivery/endpoint.h"
#include "daemon/intake/inherited.h"
#include "daemon/intake/kept_connections.h"
#include "daemon/intake/producer_listener.h"
#include "daemon/intake/track_endpoint.h"
#include "daemon/intake/track_listeners.h"

namespace outboxd {

class Intake {
 public:
  // Opens the producer socket and serves it: from here on the clerk may owe this object answers.
  // `environments`, `metrics` and whom `submit` reaches outlive its Stop().
  static Result<std::unique_ptr<Intake>> Open(const Config& config, Inherited& inherited,
                                              const Endpoints& endpoints, const Environments& environments,
                                              Metrics& metrics, const Submit& submit);
  // Opens the sockets of the Track-compatible endpoint, where configured, and serves them; a port that is
  // taken is tried again by Refresh(). Once, with the config of Open(). After an error the producer socket is
  // served on until Stop(). `states` outlives this object.
  Result<void> ServeTrack(const Config& config, PassedSockets& passed, ListenerStates& states, Timestamp now);

  // What a reload changes here; the Track-compatible listeners take theirs with the next Refresh(). Any
  // thread.
  void Configure(const Config& config, const Endpoints& endpoints);
  // The main thread, about once a second: clients that take too long, ports that were taken, limits and
  // certificates of a reload, and every hour a look whether the loopback certificate has to be made anew.
  // `config` has been replaced before the reload's Configure().
  void Refresh(const CurrentConfig& config, Timestamp now);
  // From now on each answer of the Track-compatible endpoint ends its connection, so that a stop finds few.
  // Requests, lines and clients are taken as ever. The main thread.
  void BeginToStop();
  // Connections of the Track-compatible endpoint. The main thread.
  std::size_t EndpointConnections() const { return listeners_ ? listeners_->ConnectionCount() : 0; }
  // No new requests, lines or clients; what was read is answered, for the producer socket within `patience`.
  // The clerk must still run, and must have ended before this object does: it may owe an answer yet. Does
  // nothing the second time.
  void Stop(Milliseconds patience);

 private:
  Intake(const Config& config, const Endpoints& endpoints, const Environments& environments, Metrics& metrics,
         const Submit& submit, KeptConnections* kept);

  std::unique_ptr<ProducerListener> producers_;  // never null after Open()
  std::optional<TrackEndpoint> endpoint_;        // with listen.track
  std::optional<TrackListeners> listeners_;      // with listen.track, until Stop(); the main thread's
  Timestamp certificates_checked_{};             // the main thread's
  std::atomic<bool> limits_changed_{false};
  bool stopped_ = false;                   // the main thread's
  KeptConnections* const kept_ = nullptr;  // may be null
};

}  // namespace outboxd
