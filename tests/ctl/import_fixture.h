// tests/ctl/import_fixture.h — a producer socket with scripted answers, and imports into it.
#pragma once

#include <zlib.h>

#include <filesystem>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "ctl/interrupt.h"
#include "tests/ctl/fake_daemon.h"

namespace outboxd::test {

inline constexpr const char* kOk = R"({"ok":true,"job":"J"})";
inline constexpr const char* kBusy =
    R"({"ok":false,"error":{"code":"busy","message":"queue limit reached"}})";
inline constexpr const char* kBad =
    R"({"ok":false,"error":{"code":"invalid_job","field":"id","message":"needs \"id\""}})";

inline std::string Lines(int count) {
  std::string text;
  for (int i = 1; i <= count; ++i) text += "{\"n\":" + std::to_string(i) + "}\n";
  return text;
}

// One member of gzip.
inline std::string Gzip(const std::string& text) {
  z_stream stream{};
  ::deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
  std::string packed(::deflateBound(&stream, text.size()), '\0');
  std::string from = text;
  stream.next_in = reinterpret_cast<Bytef*>(from.data());
  stream.avail_in = static_cast<uInt>(from.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  ::deflate(&stream, Z_FINISH);
  packed.resize(packed.size() - stream.avail_out);
  ::deflateEnd(&stream);
  return packed;
}

struct ImportFixture {
  explicit ImportFixture(FakeProducer::Handler handler = [](const std::string&) { return kOk; })
      : producer(folder / "producer.sock", std::move(handler)) {
    SetInterrupted(false);
  }
  ~ImportFixture() { SetInterrupted(false); }

  Ran Run(std::vector<std::string> arguments, const RunOptions& options = {}) {
    arguments.insert(arguments.begin(), {"--producer", (folder / "producer.sock").string(), "import"});
    return RunCtl(arguments, options);
  }
  std::set<std::string> Different() {
    const std::vector<std::string> lines = producer.Lines();
    return {lines.begin(), lines.end()};
  }
  bool HasState() const { return std::filesystem::exists(folder / "in.ndjson.outboxd-import"); }

  TempFolder folder;
  FakeProducer producer;
};

}  // namespace outboxd::test
