// daemon/delivery/connection_pools.h — the TCP connections of a worker: a pool for each connection of the
// config, in generations.
//
// A generation is a libcurl multi handle, since libcurl cannot be told to use a connection no more. The
// newest of a pool takes the new requests. It retires by age (connection_lifetime, give or take a fifth),
// when the Endpoint changes, and when it is told to; then it ends what it has and is closed with its last
// request. So an address that moved and a connection that died are left behind, also under constant load.
//
// With HTTP/2 one connection serves all, but while it is being made each further request would make another
// one. So what retires by age goes on until the first request of the new generation is sent; where there is
// nothing to go on with and the last generation spoke HTTP/2, the others wait for it.
//
// Bounds:  an old generation lives as long as a request on it. From kOldGenerations of a pool on, neither age
//          nor a new Endpoint retires its newest. A pool without requests is closed after kIdleConnection.
// Threads: belongs to the worker's thread. Time is an argument.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "daemon/delivery/curl_multi.h"
#include "daemon/delivery/endpoint.h"
#include "daemon/delivery/socket_watch.h"
#include "daemon/delivery/transfer.h"

namespace outboxd {

class ConnectionPools {
 public:
  static constexpr std::size_t kOldGenerations = 8;

  // `random` is uniform in [0, 1).
  ConnectionPools(SocketWatch* watch, std::function<double()> random);
  ConnectionPools(const ConnectionPools&) = delete;
  ConnectionPools& operator=(const ConnectionPools&) = delete;

  // Where a transfer goes that begins now. Route::kOwn has pools of its own, where no connection is used
  // twice. Valid until the next Tidy() that finds nothing under way on it. Null: ask again when something has
  // happened; after its connect_timeout at the latest there is an answer.
  CurlMulti* For(const Transfer& transfer, SteadyTime now);
  // The generation takes nothing new. Nothing happens when it is retired already.
  void Retire(const CurlMulti& multi);

  // The earliest moment at which RunTimers() or Tidy() has something to do.
  std::optional<SteadyTime> NextTimer() const;
  void RunTimers(SteadyTime now);
  void TakeEnded(std::vector<EndedRequest>& ended);
  // Closes what has retired and ended, and what idles for long. Call it each round.
  void Tidy(SteadyTime now);

  std::size_t Generations() const { return generations_.size(); }

 private:
  struct Generation {
    Generation(SocketWatch* watch, const Transfer& transfer);
    CurlMulti multi;
    std::shared_ptr<const Endpoint> endpoint;
    const Route route;
    SteadyTime retires{};
    SteadyTime last_used{};
    bool is_retired = false;
    Generation* before = nullptr;  // retired by age, and goes on until this one is up
    SteadyTime takes_over{};       // at the latest
  };

  Generation* Newest(const Transfer& transfer);
  bool IsDue(const Generation& newest, const Transfer& transfer, SteadyTime now) const;
  Generation& Renew(const Transfer& transfer, SteadyTime now);
  static bool IsComingUp(const Generation& newest, SteadyTime now);
  void Retire(Generation& generation);
  void Remember(const Generation& generation);

  SocketWatch* const watch_;
  const std::function<double()> random_;
  std::vector<std::unique_ptr<Generation>> generations_;  // the newest of a pool behind its older ones
  Generation* last_ = nullptr;                            // the newest that For() found last
  std::set<std::string> multiplexing_;                    // connections of the config that spoke HTTP/2 last
  bool has_retired_ = false;
  SteadyTime next_tidy_{};  // while there are generations
};

}  // namespace outboxd
