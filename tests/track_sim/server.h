// tests/track_sim/server.h — the simulated Track API's sockets: HTTP/1.1 with keep-alive and pipelining on
// one thread.
//
// Requests of one connection are taken as they arrive and answered in their order, each after its own delay.
#pragma once

#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <cstdint>
#include <string>
#include <unordered_map>

#include "tests/track_sim/track_sim.h"

namespace outboxd::sim {

// Which customers have an unanswered request, and on which socket.
class InFlight {
 public:
  explicit InFlight(Traffic& traffic) : traffic_(traffic) {}
  void Enter(const std::vector<std::string>& customers, int socket);
  void Leave(const std::vector<std::string>& customers);

 private:
  struct Entry {
    std::size_t count = 0;
    int socket = -1;
  };
  Traffic& traffic_;
  std::unordered_map<std::string, Entry> customers_;
};

class Server {
 public:
  // `sim` and `in_flight` outlive `context`, whose pending work still refers to them. Throws when the address
  // cannot be bound.
  Server(asio::io_context& context, const asio::ip::tcp::endpoint& endpoint, TrackSim& sim,
         InFlight& in_flight);
  std::uint16_t Port() const { return acceptor_.local_endpoint().port(); }

 private:
  void Accept();

  asio::ip::tcp::acceptor acceptor_;
  TrackSim& sim_;
  InFlight& in_flight_;
};

}  // namespace outboxd::sim
