#include "tests/simulation/hostile_lines.h"

#include <cstddef>
#include <cstdlib>
#include <string>
#include <string_view>

namespace outboxd::simulation {
namespace {

std::string Quoted(const std::string& text) {
  return '"' + text + '"';
}

std::string Head(const std::string& type, const Line& line, Reaction reaction) {
  return R"({"type":)" + Quoted(type) + R"(,"connection":)" + Quoted(line.connection) + R"(,"ref":)" +
         Quoted(std::string(NameOf(reaction)) + "." + std::to_string(line.number));
}

// As many as are accepted.
std::string Members(int count) {
  std::string members = "{";
  for (int member = 0; member < count; ++member)
    members += (member > 0 ? "," : "") + Quoted("m" + std::to_string(member)) + R"(:"v")";
  return members + "}";
}

std::string Raw(const Attack& attack, Line& line) {
  constexpr int kFields = 100, kQuery = 200, kHeaders = 64;
  std::string path = "/v1/hooks/" + std::to_string(line.number);
  if (attack.shape == Shape::kMerges) {  // the first of them
    line.customers = {"head"};
    path = "/v1/customers/head/hook";
  }
  std::string text = Head("raw", line, attack.reaction) + R"(,"method":"POST","path":)" + Quoted(path);
  if (attack.shape == Shape::kLong) {
    text += R"(,"body":)" + Quoted(std::string(attack.bytes, 'x'));
  } else if (attack.shape == Shape::kMembers) {
    text += R"(,"form":)" + Members(kFields) + R"(,"query":)" + Members(kQuery) + R"(,"headers":)" +
            Members(kHeaders);
  } else {
    text += R"(,"body":{"x":1})";
  }
  if (attack.reaction == Reaction::kPage) text += R"(,"response_type":"json")";
  if (attack.reaction == Reaction::kLate) text += R"(,"timeout_ms":1)";
  if (attack.shape == Shape::kOwnRetry || attack.shape == Shape::kMerges) {
    text += R"(,"retry":{"max_retries":100,"delay_ms":)" + std::to_string(attack.delay_ms) +
            R"(,"all_errors":true})";
  }
  return text;
}

std::string Event(const Attack& attack, Line& line) {
  std::string customer = "h" + std::to_string(attack.shape == Shape::kFew ? line.number % 3 : line.number);
  if (attack.reaction == Reaction::kMoved) customer = "a//" + customer;
  line.customers = {customer};
  return Head("track", line, attack.reaction) + R"(,"id":)" + Quoted(customer) +
         R"(,"name":"<script>","data":{"x":"' OR 1=1 --"})";
}

std::string Merge(Line& line) {
  const std::string other = "m" + std::to_string(line.number);
  line.customers = {"head", other};
  return Head("merge", line, Reaction::kWell) + R"(,"primary":{"id":"head"},"secondary":{"id":)" +
         Quoted(other) + "}";
}

}  // namespace

Line HostileLine(const Attack& attack, int number, bool is_first) {
  Line line;
  line.number = number;
  line.connection = attack.connection;
  const bool is_event = attack.shape == Shape::kCustomers || attack.shape == Shape::kFew;
  const bool is_merge = attack.shape == Shape::kMerges && !is_first;
  line.text = is_event ? Event(attack, line) : is_merge ? Merge(line) : Raw(attack, line);
  if (attack.max_age_s > 0) line.text += R"(,"max_age":)" + std::to_string(attack.max_age_s);
  line.text += "}";
  return line;
}

Line GoodLine(const std::string& connection, std::uint32_t customer, int number) {
  Line line;
  line.number = number;
  line.is_good = true;
  line.connection = connection;
  line.customers = {"g" + std::to_string(customer)};
  const std::string id = R"(,"id":)" + Quoted(line.customers.front());
  switch (number % 3) {
    case 0:
      line.text = Head("identify", line, Reaction::kWell) + id + R"(,"attributes":{"plan":"pro"}})";
      break;
    case 1:
      line.text = Head("track", line, Reaction::kWell) + id + R"(,"name":"purchase","data":{"price":1.5}})";
      break;
    default:
      line.text = Head("pageview", line, Reaction::kWell) + id + R"(,"url":"https://example.com/"})";
  }
  return line;
}

Ref ReadRef(std::string_view ref) {
  const std::size_t dot = ref.find('.');
  if (dot == std::string_view::npos) return {};
  Ref read;
  read.reaction = kNames<Reaction>.Find(ref.substr(0, dot)).value_or(Reaction::kWell);
  read.number = std::atoi(std::string(ref.substr(dot + 1)).c_str());
  return read;
}

}  // namespace outboxd::simulation
