// docs/libraries.md keeps its word: its Node programs run as they stand there, but for port, paths and
// credentials.
#include <doctest/doctest.h>

#include "tests/sdk/library.h"
#include "tests/support/give_up.h"
#include "tests/system/scene.h"

namespace outboxd {
namespace {

// The blocks of JavaScript between the heading and the next one.
std::vector<std::string> SnippetsUnder(const std::string& heading) {
  const std::string document = ReadFile(OUTBOXD_SOURCE_DIR "/docs/libraries.md");
  const std::size_t start = document.find("\n## " + heading + "\n");
  if (start == std::string::npos) GiveUp("no heading " + heading);
  const std::string chapter = document.substr(start + 1, document.find("\n## ", start + 1) - start - 1);
  constexpr std::string_view kOpen = "```js\n", kClose = "```\n";
  std::vector<std::string> snippets;
  for (std::size_t open = chapter.find(kOpen); open != std::string::npos; open = chapter.find(kOpen, open)) {
    open += kOpen.size();
    snippets.push_back(chapter.substr(open, chapter.find(kClose, open) - open));
  }
  return snippets;
}

std::string Replaced(std::string text, const std::string& old, const std::string& replacement) {
  const std::size_t start = text.find(old);
  if (start == std::string::npos) GiveUp("no " + old + " in " + text);
  return text.replace(start, old.size(), replacement);
}

// The snippet makes `cio` out of `siteId` and `apiKey`; around it stands what a program has anyway.
std::string ProgramOf(const std::string& snippet) {
  const SimOptions account = SdkAccount();
  return "const siteId = " + Quoted(account.site_id) + ", apiKey = " + Quoted(account.api_key) + ";\n" +
         snippet +
         "await cio.identify('42', { plan: 'pro' });\nawait cio.track('42', { name: 'purchase', data: { n: 1 "
         "} });\nprocess.exit();\n";
}

void CheckProgram(const Library& library, const std::string& source, SimUnderTest& api) {
  INFO("program ", source);
  const Workbench workbench(library);
  const Finished finished = Run(workbench.Program(source));
  INFO("it says ", finished.err);
  CHECK(finished.status.code == 0);
  api.AwaitEffects(2);
  const std::vector<SimEffect> effects = api.Effects("42");
  REQUIRE(effects.size() == 2);
  CHECK(effects[0].type == "identify");
  CHECK(effects[1].name == "purchase");
}

void CheckPlain(const Library& library, const std::string& snippet) {
  SimUnderTest api(SdkAccount());
  const std::uint16_t port = FreePort();
  DaemonUnderTest daemon(api, Endpoint(port));
  CheckProgram(library, ProgramOf(Replaced(snippet, "8480", std::to_string(port))), api);
}

void CheckTls(const Library& library, const std::string& snippet) {
  SimUnderTest api(SdkAccount());
  const std::uint16_t port = FreePort();
  DaemonUnderTest daemon(api, Endpoint(port, Wire::kTls), Launch::kLater);
  const std::string authority = MakeCertificates(daemon);
  daemon.Start();
  const std::string program = ProgramOf(Replaced(snippet, "8443", std::to_string(port)));
  CheckProgram(library, Replaced(program, "/var/lib/outboxd/tls/ca.pem", authority), api);
}

TEST_CASE("sdk document: the program for customerio-node 5 does what it says") {
  const std::vector<std::string> snippets = SnippetsUnder("customerio-node 5");
  REQUIRE(snippets.size() == 1);
  CheckPlain(kNode5, snippets[0]);
}

TEST_CASE("sdk document: the program for customerio-node 4 does what it says") {
  const std::vector<std::string> snippets = SnippetsUnder("customerio-node 4");
  REQUIRE(snippets.size() == 2);
  CheckPlain(kNode4, snippets[0]);
}

TEST_CASE("sdk document: the program for customerio-node 4 with HTTPS does what it says") {
  const std::vector<std::string> snippets = SnippetsUnder("customerio-node 4");
  REQUIRE(snippets.size() == 2);
  CheckTls(kNode4, snippets[1]);
}

}  // namespace
}  // namespace outboxd
