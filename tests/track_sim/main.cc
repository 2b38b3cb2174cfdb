// The simulated Track API as a program of its own, for tests, benchmarks and the demo.

#include <CLI/CLI.hpp>
#include <asio/ip/address.hpp>
#include <asio/signal_set.hpp>
#include <cstdio>
#include <fstream>
#include <system_error>

#include "tests/track_sim/server.h"

namespace {

struct Options {
  std::string listen = "127.0.0.1:0";
  std::string port_file;
  outboxd::sim::Account account;
  std::uint64_t seed = 1;
  bool forget_effects = false;
};

asio::ip::tcp::endpoint ParseEndpoint(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos) throw std::runtime_error("--listen needs ADDRESS:PORT");
  return {asio::ip::make_address(text.substr(0, colon)),
          static_cast<std::uint16_t>(std::stoul(text.substr(colon + 1)))};
}

void Announce(const Options& options, std::uint16_t port) {
  std::printf("listening on %s:%u\n", options.listen.substr(0, options.listen.rfind(':')).c_str(),
              static_cast<unsigned>(port));
  std::fflush(stdout);
  if (options.port_file.empty()) return;
  // Renamed into place, so that a reader never sees half of it.
  const std::string unfinished = options.port_file + ".new";
  std::ofstream(unfinished) << port << '\n';
  if (std::rename(unfinished.c_str(), options.port_file.c_str()) != 0)
    throw std::system_error(errno, std::generic_category(), options.port_file);
}

void Serve(const Options& options) {
  using outboxd::sim::Remember;
  outboxd::sim::TrackSim sim(options.account, options.seed,
                             options.forget_effects ? Remember::kCountsOnly : Remember::kEverything);
  outboxd::sim::InFlight in_flight(sim.traffic());
  asio::io_context context(1);
  outboxd::sim::Server server(context, ParseEndpoint(options.listen), sim, in_flight);
  asio::signal_set signals(context, SIGTERM, SIGINT);
  signals.async_wait([&context](const asio::error_code&, int) { context.stop(); });
  Announce(options, server.Port());
  context.run();
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("A simulated Customer.io Track API: strict, scriptable, forgetful on exit");
  app.add_option("--listen", options.listen, "ADDRESS:PORT; port 0 takes a free one")->capture_default_str();
  app.add_option("--site-id", options.account.site_id, "the site id that is accepted")->required();
  app.add_option("--api-key", options.account.api_key, "the API key that is accepted")->required();
  app.add_option("--region", options.account.region, "what /api/v1/accounts/region answers")
      ->check(CLI::IsMember({"us", "eu"}));
  app.add_option("--port-file", options.port_file, "file that gets the port once it is ready");
  app.add_option("--seed", options.seed, "of the script's dice")->capture_default_str();
  app.add_flag("--forget-effects", options.forget_effects, "count only: bounded memory for long benchmarks");
  CLI11_PARSE(app, argc, argv);
  try {
    Serve(options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "track_sim: %s\n", error.what());
    return 1;
  }
  return 0;
}
