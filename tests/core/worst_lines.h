// tests/core/worst_lines.h — the lines that cost most in memory, of each type.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "tests/core/job_lines.h"

namespace outboxd::testing {

inline constexpr std::size_t kLineBytes = 512UL * 1024;  // limits.line_bytes

// A line of nearly `bytes`: `head`, as many of `piece` as there is room for, the last without its comma,
// `tail`.
inline std::string Filled(std::string_view head, std::string_view piece, std::string_view tail,
                          std::size_t bytes = kLineBytes) {
  std::string line(head);
  line += Repeat(piece, (bytes - head.size() - tail.size()) / piece.size());
  if (line.ends_with(',')) line.pop_back();
  return line + std::string(tail);
}

inline std::string Numbered(std::string_view head, std::size_t count, std::string_view value,
                            std::string_view tail) {
  std::string line(head);
  for (std::size_t i = 0; i < count; ++i)
    line.append(i > 0 ? ",\"" : "\"").append(std::to_string(i)).append("\":\"").append(value).append("\"");
  return line + std::string(tail);
}

// The worst that is accepted of each type, as far as one can think of it.
inline std::vector<std::string> WorstLines() {
  const std::string id(150, '"');
  const std::string quoted = Repeat("\\\"", 150);
  return {
      Filled(R"({"type":"identify","id":")" + quoted + R"(","attributes":{"a":[)", "0,", "]}}"),
      Filled(R"({"type":"identify","id":"1","attributes":{"a":")", "\\u0001", "\"}}", 1000),
      Filled(R"({"type":"track","id":")" + quoted + R"(","name":"n","data":{"a":[)", "[],", "]}}", 99'000),
      Filled(R"({"type":"pageview","anonymous_id":")" + quoted + R"(","url":")", "\\u0001", "\"}", 600),
      Filled(R"({"type":"destroy","id":"1","ref":"r")", " ", "}"),
      Filled(R"({"type":"suppress","id":")" + quoted + "\"", " ", "}"),
      Filled(R"({"type":"unsuppress","id":")" + quoted + "\"", " ", "}"),
      Filled(R"({"type":"add_device","id":"1","device":{"id":"1","platform":"ios","attributes":{"a":[)", "0,",
             "]}}}"),
      R"({"type":"delete_device","id":")" + quoted + R"(","device_id":")" + Repeat("\\u0001", 999) + "x\"}",
      Filled(R"({"type":"merge","primary":{"id":")" + quoted + R"("},"secondary":{"id":"2")", " ", "}}"),
      Filled(R"({"type":"form","form_id":"f","data":{"email":"a@b.c")", R"(,"a":"")", "}}", 90'000),
      Filled(R"({"type":"add_to_segment","segment_id":7,"ids":[)", "\"" + quoted + "\",", "]}", 300'000),
      R"({"type":"remove_from_segment","segment_id":7,"ids":[)" + Repeat("1,", 999) + "1]}",
      R"({"type":"metric","metric":"opened","delivery_id":")" + std::string(1000, 'x') + R"(","href":")" +
          std::string(4000, 'y') + "\"}",
      Numbered(R"({"type":"raw","method":"POST","path":"/v1/x","form":{)", 100, std::string(5000, 'v'), "}}"),
      Filled(R"({"type":"raw","method":"POST","path":"/v1/x","form":{")", "\\\"", R"(":""}})"),
      Numbered(R"({"type":"raw","method":"GET","path":"/v1/x","query":{)", 200, std::string(100, ' '), "}}"),
      Filled(R"({"type":"raw","method":"GET","path":"/v1/x","query":{"a":")", "\\u0001", "\"}}", 120'000),
      R"({"type":"raw","method":"GET","path":"/v1/)" + std::string(8000, ' ') + "\"}",
      Numbered(R"({"type":"raw","method":"GET","path":"/v1/x","headers":{)", 64, std::string(120, 'h'), "}}"),
      Filled(R"({"type":"raw","method":"POST","path":"/v1/x","body":")", "x", "\"}"),
      Filled(R"({"type":"raw","method":"POST","path":"/v1/x","body":[)", "0,", "]}"),
      Filled(R"({"type":"raw","method":"POST","path":"/v1/x","files":[{"name":"f","content":")", "x",
             "\"}]}"),
      R"({"type":"raw","method":"POST","path":"/v1/x","files":[)" +
          Repeat(R"({"name":"f","content_base64":")" + Repeat("QUJD", 3900) + "\"},", 31) +
          R"({"name":"f","content":""}]})",
      Filled(R"({"type":"track","request":{"method":"POST","target":"/api/v1/customers/1/events?)" +
                 std::string(8000, 'q') + R"(","body":{"name":"n","data":{"a":[)",
             "[],", "]}}}}", 100'000),
      Filled(R"({"type":"merge","request":{"method":"POST","target":"/api/v1/merge_customers","body":)"
             R"({"primary":{"id":"1"},"secondary":{"id":"2"},"a":[)",
             "0,", "]}}}"),
  };
}

}  // namespace outboxd::testing
