// daemon/admin/api.h — the requests of docs/admin-api.md: finds the route, asks Control or the outbox,
// answers.
//
// Threads: Handle() and HandleMetrics() may be called on any number of threads at once.
// Errors: every failure becomes an answer. The outbox is only read here; what changes it goes through
// Control.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "daemon/admin/control.h"
#include "daemon/admin/inspection_pool.h"
#include "daemon/base/http_server.h"
#include "daemon/base/metrics.h"

namespace outboxd {

class AdminApi {
 public:
  using Clock = std::function<Timestamp()>;  // called on any thread
  // `control` and `metrics` outlive this. `outbox` is opened when the first request needs it.
  AdminApi(std::filesystem::path outbox, Control& control, const Metrics& metrics, Clock clock);

  HttpResponse Handle(const HttpRequestView& request);
  // What the TCP listener of `metrics.tcp` answers: GET /metrics and nothing else.
  HttpResponse HandleMetrics(const HttpRequestView& request);

 private:
  // A request with the decoded segment that stands at its route's "{}".
  struct Call {
    const HttpRequestView& request;
    std::string argument;
  };
  struct Route;
  static const Route* FindRoute(std::string_view path, std::string& argument);

  HttpResponse Root(const Call& call);
  HttpResponse Healthz(const Call& call);
  HttpResponse Readyz(const Call& call);
  HttpResponse MetricsText(const Call& call);
  HttpResponse Status(const Call& call);
  HttpResponse Jobs(const Call& call);
  HttpResponse Job(const Call& call);
  HttpResponse Explain(const Call& call);
  HttpResponse Cancel(const Call& call);
  HttpResponse History(const Call& call);
  HttpResponse DeadRows(const Call& call);
  HttpResponse DeadGroups(const Call& call);
  HttpResponse Dead(const Call& call);
  HttpResponse Redrive(const Call& call);
  HttpResponse Drop(const Call& call);
  HttpResponse Pause(const Call& call);
  HttpResponse Resume(const Call& call);
  HttpResponse Probe(const Call& call);
  HttpResponse Backup(const Call& call);
  HttpResponse Forget(const Call& call);
  HttpResponse Reload(const Call& call);

  using ChangeDead = Result<ChangeCount> (Control::*)(const DeadFilter&, bool);
  HttpResponse Change(const Call& call, ChangeDead change, std::string_view changed);
  // Runs `use` on an Inspection that is its alone meanwhile.
  template <typename Use>
  HttpResponse Read(Use use);
  // The same with the job id in the path.
  template <typename Use>
  HttpResponse ReadJob(const Call& call, Use use);

  Control& control_;
  const Metrics& metrics_;
  const Clock clock_;
  InspectionPool pool_;
};

}  // namespace outboxd
