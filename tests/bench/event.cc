#include "tests/bench/event.h"

#include <stdexcept>

#include "core/encoding.h"

namespace outboxd::bench {
namespace {

constexpr std::size_t kDigits = 10;

void WriteDigits(char* end, std::uint64_t number) {
  for (std::size_t i = 0; i < kDigits; ++i) {
    *--end = static_cast<char>('0' + number % 10);
    number /= 10;
  }
}

// Neighbours in the queue belong to customers far apart, as they do in life.
std::uint64_t Scatter(std::uint64_t number) {
  number = (number ^ (number >> 30)) * 0xbf58476d1ce4e5b9U;
  number = (number ^ (number >> 27)) * 0x94d049bb133111ebU;
  return number ^ (number >> 31);
}

}  // namespace

EventMaker::EventMaker(const EventOptions& options) : options_(options) {
  const Template track = Make(R"({"type":"track","id":")", R"(","name":"order_placed","data":{"order":")",
                              R"(","total":123.45,"currency":"EUR","items":3,"new_customer":false,"note":")");
  const Template identify =
      Make(R"({"type":"identify","id":")", R"(","attributes":{"last_order":")",
           R"(","email":"someone@example.com","plan":"pro","age":30,"vip":true,"note":")");
  const Template pageview =
      Make(R"({"type":"pageview","id":")", R"(","url":"https://www.example.com/pricing","data":{"visit":")",
           R"(","referrer":"https://search.example.com/","width":1280,"note":")");
  templates_ = {track};
  if (!options.claims.empty())
    templates_ = {Make(R"({"type":"identify","id":")", R"(","attributes":{"last_order":")",
                       R"(","anonymous_id":")" + options.claims + R"(","note":")")};
  if (!options.credentials.empty()) templates_ = {MakeRequest()};
  if (options.is_mixed)
    templates_ = {track, track, identify, track, track, pageview, track, identify, track, track};
}

EventMaker::Template EventMaker::Make(const std::string& begin, const std::string& middle,
                                      const std::string& end) const {
  Template made;
  made.line = begin + options_.prefix;
  made.customer_at = made.line.size();
  made.line += std::string(kDigits, '0') + middle;
  made.number_at = made.line.size();
  made.line += std::string(kDigits, '0') + end;
  const std::string closing = "\"}}";
  if (made.line.size() + closing.size() > options_.bytes)
    throw std::runtime_error("an event needs more bytes than that");
  made.line.append(options_.bytes - made.line.size() - closing.size(), 'n');
  made.line += closing + '\n';
  return made;
}

EventMaker::Template EventMaker::MakeRequest() const {
  std::string body = R"({"name":"order_placed","data":{"order":")";
  const std::size_t number_at = body.size();
  body += std::string(kDigits, '0') +
          R"(","total":123.45,"currency":"EUR","items":3,"new_customer":false,"note":")";
  const std::string closing = "\"}}";
  if (body.size() + closing.size() > options_.bytes)
    throw std::runtime_error("an event needs more bytes than that");
  body.append(options_.bytes - body.size() - closing.size(), 'n');
  body += closing;
  Template made;
  made.line = "POST /api/v1/customers/" + options_.prefix;
  made.customer_at = made.line.size();
  made.line += std::string(kDigits, '0') + "/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic " +
               Base64Encode(options_.credentials) +
               "\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
               "\r\n\r\n";
  made.number_at = made.line.size() + number_at;
  made.line += body;
  return made;
}

std::uint64_t EventMaker::CustomerNumber(std::uint64_t number) const {
  return Scatter(number) % options_.customers;
}

void EventMaker::Append(std::string& out, std::uint64_t number) const {
  const Template& form = templates_[number % templates_.size()];
  const std::size_t start = out.size();
  out += form.line;
  WriteDigits(out.data() + start + form.customer_at + kDigits, CustomerNumber(number));
  WriteDigits(out.data() + start + form.number_at + kDigits, number);
}

std::string EventMaker::Customer(std::uint64_t number) const {
  std::string customer = options_.prefix + std::string(kDigits, '0');
  WriteDigits(customer.data() + customer.size(), CustomerNumber(number));
  return customer;
}

}  // namespace outboxd::bench
