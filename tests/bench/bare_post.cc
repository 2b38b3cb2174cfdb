#include "tests/bench/bare_post.h"

#include "core/json.h"
#include "tests/bench/sockets.h"

namespace outboxd::bench {

std::string RunBarePost(const BarePostOptions& options) {
  Poster poster(options.poster);
  const double cpu_before = ProcessCpuSeconds();
  const std::int64_t start_ns = MonotonicNs();
  do {
    while (!poster.IsFull() && poster.StartedEvents() < options.count) poster.Start();
    poster.Perform();
    if (poster.FinishedEvents() < poster.StartedEvents()) poster.Wait();
  } while (poster.FinishedEvents() < options.count);
  const double seconds = static_cast<double>(MonotonicNs() - start_ns) / 1e9;
  const auto finished = static_cast<std::int64_t>(poster.FinishedEvents());
  JsonWriter json;
  json.Object().Key("events").Int(finished).Key("seconds").Number(seconds);
  json.Key("rate").Number(static_cast<double>(finished) / seconds);
  json.Key("cpu_seconds").Number(ProcessCpuSeconds() - cpu_before);
  json.Key("peak_bytes").Int(static_cast<std::int64_t>(PeakMemoryBytes())).EndObject();
  return json.Take();
}

}  // namespace outboxd::bench
