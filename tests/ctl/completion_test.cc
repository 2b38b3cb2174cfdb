// How a command line may go on.
#include "ctl/completion.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <sstream>
#include <string>
#include <vector>

#include "core/job_types.h"
#include "tests/ctl/admin_fixture.h"
#include "tests/ctl/fake_daemon.h"

namespace outboxd::test {
namespace {

struct Answer {
  std::string beside;
  std::vector<std::string> words;

  bool Has(const std::string& word) const {
    return std::find(words.begin(), words.end(), word) != words.end();
  }
};

using Words = std::vector<std::string>;

Answer Read(const std::string& out) {
  std::istringstream lines(out);
  Answer answer;
  std::getline(lines, answer.beside);
  for (std::string line; std::getline(lines, line);) answer.words.push_back(line.substr(0, line.find('\t')));
  return answer;
}

Answer Ask(const Words& words, const std::string& program = "outboxctl") {
  Words arguments = {"__complete", program};
  arguments.insert(arguments.end(), words.begin(), words.end());
  const Ran ran = RunCtl(arguments);
  CHECK(ran.code == 0);
  CHECK(ran.err.empty());
  return Read(ran.out);
}

TEST_CASE("completion: a verb by its beginning, also one of a group") {
  CHECK(Ask({"st"}).words == Words{"status"});
  CHECK(Ask({"re"}).words == Words{"resume", "reload", "restore"});
  CHECK(Ask({"dead", "re"}).words == Words{"redrive"});
  CHECK(Ask({"--utc", "--config", "/x", "dead", "gr"}).words == Words{"groups"});
  CHECK(Ask({"dead", "st"}).words.empty());
  CHECK(Ask({"status", "st"}).words.empty());
}

TEST_CASE("completion: an option of the verb and of the whole program, with its help") {
  CHECK(Ask({"list", "--st"}).words == Words{"--state"});
  CHECK(Ask({"list", "--ut"}).words == Words{"--utc"});
  CHECK(Ask({"status", "--st"}).words.empty());
  const Answer all = Ask({"import", "--"});
  for (const char* option : {"--resume", "--rejects", "--producer", "--help"})
    CHECK_MESSAGE(all.Has(option), option);
  CHECK(std::count(all.words.begin(), all.words.end(), "--help") == 1);
  CHECK(Contains(RunCtl({"__complete", "outboxctl", "list", "--st"}).out,
                 "--state\tOnly jobs in this state\n"));
}

TEST_CASE("completion: a verb that takes nothing more has its options left") {
  CHECK(Ask({"status", ""}).Has("--watch"));
  CHECK(Ask({"status", "--", ""}).words.empty());
}

TEST_CASE("completion: values that are a known set") {
  CHECK(Ask({"list", "--state", ""}).words == Words{"ready", "in_flight", "deferred", "blocked"});
  CHECK(Ask({"list", "--state", "de"}).words == Words{"deferred"});
  CHECK(Ask({"list", "--state=de"}).words == Words{"--state=deferred"});
  CHECK(Ask({"list", "--state", "="}).words.size() == 4);  // as bash cuts it
  CHECK(Ask({"list", "--state", "=", "de"}).words == Words{"deferred"});
  CHECK(Ask({"list", "--type", ""}).words.size() == kJobTypes.size());
  CHECK(Ask({"send", ""}).words.size() == kJobTypes.size());
  CHECK(Ask({"history", "--result", "del"}).words == Words{"delivered"});
  CHECK(Ask({"send", "metric", "--metric", "c"}).words == Words{"clicked", "converted"});
  CHECK(Ask({"send", "raw", "--region", ""}).words == Words{"us", "eu"});
  CHECK(Ask({"send", "raw", "--method", "P"}).words == Words{"POST", "PUT", "PATCH"});
  CHECK(Ask({"list", "--limit", ""}).words.empty());
}

TEST_CASE("completion: files where a file belongs, folders where a folder does") {
  CHECK(Ask({"import", ""}).beside == "files");
  CHECK(Ask({"import", "events.ndjson", "x"}).beside == "words");
  CHECK(Ask({"--socket", ""}).beside == "files");
  CHECK(Ask({"import", "--rejects", "r"}).beside == "files");
  CHECK(Ask({"import", "--rejects=r"}).beside == "files");
  CHECK(Ask({"tls-init", "--directory", ""}).beside == "folders");
  CHECK(Ask({"status", ""}).beside == "words");
}

TEST_CASE("completion: the names of connections, of the daemon that the line names") {
  AdminFixture daemon([](const AdminRequest&) {
    return AdminAnswer{200, R"({"connections":[{"name":"default"},{"name":"eu-shop"}]})"};
  });
  const auto ask = [&daemon](Words words) {
    words.insert(words.begin(), {"--socket", (daemon.folder / "admin.sock").string()});
    return Ask(words).words;
  };
  CHECK(ask({"resume", ""}) == Words{"default", "eu-shop"});
  CHECK(ask({"list", "--connection", "e"}) == Words{"eu-shop"});
  CHECK(ask({"resume", "default", ""}).size() > 2);  // nothing is left but options
}

TEST_CASE("completion: of outboxd itself") {
  CHECK(Ask({"--c"}, "outboxd").words == Words{"--config", "--check"});
  CHECK(Ask({"--config", ""}, "outboxd").beside == "files");
  CHECK(RunCtl({"__complete", "elsewhere", ""}).code == 2);
  CHECK(RunCtl({"__complete"}).code == 2);
}

}  // namespace
}  // namespace outboxd::test
