// bench_bare: the bare loops that every figure of the benchmark is compared with.
#include <curl/curl.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>

#include "tests/bench/bare_accept.h"
#include "tests/bench/bare_post.h"

int main(int argc, char** argv) {
  outboxd::bench::BareAcceptOptions accept;
  outboxd::bench::BarePostOptions post;
  outboxd::bench::PosterOptions deliver;
  CLI::App app(
      "The least that accepting and delivering can cost, as a measure for the daemon; reports as JSON");
  app.require_subcommand(1);
  CLI::App* accepting = app.add_subcommand("accept", "Unix socket, lines, SQLite insert, group commit");
  accepting->add_option("--socket", accept.socket, "where to listen")->required();
  accepting->add_option("--file", accept.file, "the SQLite file, created anew")->required();
  accepting->add_option("--count", accept.count, "lines until the end")->required();
  accepting->add_option("--deliver-to", deliver.base_url, "also post each, by libcurl");
  accepting->add_option("--ca-file", deliver.ca_file, "trusted for https");
  CLI::App* posting = app.add_subcommand("post", "libcurl alone");
  posting->add_option("--url", post.poster.base_url, "where to post")->required();
  posting->add_option("--count", post.count, "events to post")->required();
  posting->add_option("--items", post.poster.items, "events in one v2 batch; 0: one v1 request each")
      ->capture_default_str();
  posting->add_option("--in-flight", post.poster.in_flight, "requests at once")
      ->capture_default_str()
      ->check(CLI::Range(1, 10'000));
  posting->add_option("--ca-file", post.poster.ca_file, "trusted for https");
  CLI11_PARSE(app, argc, argv);
  if (!deliver.base_url.empty()) accept.deliver = deliver;
  curl_global_init(CURL_GLOBAL_ALL);
  try {
    std::printf("%s\n", (accepting->parsed() ? RunBareAccept(accept) : RunBarePost(post)).c_str());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench_bare: %s\n", error.what());
    return 1;
  }
  return 0;
}
