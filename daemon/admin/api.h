// daemon/admin/api.h — the requests of docs/admin-api.md: finds the route, asks Control or the outbox,
// answers.
//
// Threads: Handle() and HandleMetrics() may be called on any number of threads at once.
// Errors: every failure becomes an answer. The outbox is only read here; what changes it goes through
// Control.
#pragma once

#include <filesystem>
#include <functional>

#include "core/time.h"
#include "daemon/admin/control.h"
#include "daemon/admin/inspection_pool.h"
#include "daemon/base/http_message.h"
#include "daemon/base/metrics.h"

namespace outboxd {

class AdminApi {
 public:
  using Clock = std::function<Timestamp()>;  // called on any thread
  // `control` and `metrics` outlive this. `outbox` is opened when the first request needs it.
  AdminApi(std::filesystem::path outbox, Control& control, const Metrics& metrics, Clock clock);

  HttpResponse Handle(const HttpRequestView& request);
  // What the TCP listener of `metrics.tcp` answers: GET of /metrics, /healthz and /readyz, and nothing else.
  HttpResponse HandleMetrics(const HttpRequestView& request);

 private:
  Control& control_;
  const Metrics& metrics_;
  const Clock clock_;
  InspectionPool pool_;
};

}  // namespace outboxd
