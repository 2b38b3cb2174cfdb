#include "core/secrets.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "core/ascii.h"
#include "core/encoding.h"

namespace outboxd {
namespace {

constexpr std::size_t kWholeOnlyBelow = 8;
constexpr std::string_view kSecretEscapes = "%\\&";
constexpr std::size_t kLongestEscape = 8;  // "&equals;"
constexpr ByteTable kInWords = LettersDigitsAnd("-_");

bool IsNumberOf(std::string_view digits, int base, char byte) {
  unsigned value = 0;
  const auto [end, error] = std::from_chars(digits.begin(), digits.end(), value, base);
  return error == std::errc{} && end == digits.end() && value == Byte(byte);
}

// "%2B", "\/", "\u002B", "&#43;", "&#x2B;", "&plus;".
std::size_t PercentLength(std::string_view text, char byte) {
  return text.size() >= 3 && IsNumberOf(text.substr(1, 2), 16, byte) ? 3 : 0;
}

std::size_t JsonLength(std::string_view text, char byte) {
  if (text.size() >= 2 && text[1] == byte && byte != 'u') return 2;
  return text.size() >= 6 && text[1] == 'u' && IsNumberOf(text.substr(2, 4), 16, byte) ? 6 : 0;
}

std::size_t HtmlLength(std::string_view text, char byte) {
  constexpr std::array<std::pair<std::string_view, char>, 10> kNamed = {{{"amp", '&'},
                                                                         {"lt", '<'},
                                                                         {"gt", '>'},
                                                                         {"quot", '"'},
                                                                         {"apos", '\''},
                                                                         {"plus", '+'},
                                                                         {"sol", '/'},
                                                                         {"bsol", '\\'},
                                                                         {"equals", '='},
                                                                         {"colon", ':'}}};
  const std::size_t end = text.substr(0, kLongestEscape).find(';');
  if (end == std::string_view::npos || end < 3) return 0;
  const std::string_view name = text.substr(1, end - 1);
  const auto is_it = [&](const auto& named) { return named.first == name && named.second == byte; };
  const bool is_hex = name.starts_with("#x") || name.starts_with("#X");
  const bool is_byte = name.front() == '#' ? IsNumberOf(name.substr(is_hex ? 2 : 1), is_hex ? 16 : 10, byte)
                                           : std::any_of(kNamed.begin(), kNamed.end(), is_it);
  return is_byte ? end + 1 : 0;
}

// How many bytes at the beginning of `text` stand for `byte`; 0 when they do not.
std::size_t LengthAs(std::string_view text, char byte) {
  std::size_t length = 0;
  if (text.front() == '%') length = PercentLength(text, byte);
  if (text.front() == '\\') length = JsonLength(text, byte);
  if (text.front() == '&') length = HtmlLength(text, byte);
  return length == 0 && text.front() == byte ? 1 : length;
}

struct Spelling {
  std::size_t length = 0;  // 0: it is not there
  bool is_open = false;    // the text ends inside of it
};

Spelling SpellingOf(std::string_view text, std::string_view secret) {
  if (text.starts_with(secret)) return {secret.size(), false};
  std::size_t at = 0;
  for (const char byte : secret) {
    if (at == text.size()) return {at, true};
    const std::string_view rest = text.substr(at);
    const std::size_t length = LengthAs(rest, byte);
    const bool is_cut_escape =
        at > 0 && rest.size() < kLongestEscape && kSecretEscapes.find(rest.front()) != std::string_view::npos;
    if (length == 0) return is_cut_escape ? Spelling{text.size(), true} : Spelling{};
    at += length;
  }
  return {at, false};
}

bool StandsWhole(std::string_view text, std::size_t at, std::size_t length) {
  const std::size_t end = at + length;
  return (at == 0 || !kInWords[Byte(text[at - 1])]) && (end == text.size() || !kInWords[Byte(text[end])]);
}

}  // namespace

void Secrets::Add(std::string_view user, std::string_view password) {
  if (password.empty()) return;
  std::string pair(user);
  pair.append(1, ':').append(password);
  std::string encoded = Base64Encode(pair);
  encoded.resize(encoded.find_last_not_of('=') + 1);
  std::string for_urls = encoded;
  std::replace(for_urls.begin(), for_urls.end(), '+', '-');
  std::replace(for_urls.begin(), for_urls.end(), '/', '_');
  for (std::string* form : {&pair, &encoded, &for_urls}) AddForm(std::move(*form));
  AddForm(std::string(password));
}

void Secrets::AddForm(std::string form) {
  if (std::find(forms_.begin(), forms_.end(), form) != forms_.end()) return;
  starts_[Byte(form.front())] = true;
  for (const char escape : kSecretEscapes) starts_[Byte(escape)] = true;
  shortest_ = forms_.empty() ? form.size() : std::min(shortest_, form.size());
  const auto is_longer = [](const std::string& a, const std::string& b) { return a.size() > b.size(); };
  forms_.insert(std::upper_bound(forms_.begin(), forms_.end(), form, is_longer), std::move(form));
}

// Of the secret that stands at `at`; 0: none does.
std::size_t Secrets::LengthAt(std::string_view text, std::size_t at, TextEnd end) const {
  if (!starts_[Byte(text[at])]) return 0;
  for (const std::string& form : forms_) {
    const Spelling spelling = SpellingOf(text.substr(at), form);
    if (spelling.length == 0) continue;
    if (spelling.is_open && end == TextEnd::kWhole) continue;
    if (form.size() >= kWholeOnlyBelow || StandsWhole(text, at, spelling.length)) return spelling.length;
  }
  return 0;
}

bool Secrets::StandIn(std::string_view text) const {
  if (text.size() < shortest_) return false;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (LengthAt(text, at, TextEnd::kWhole) != 0) return true;
  }
  return false;
}

std::string Secrets::Redact(std::string_view text, TextEnd end) const {
  std::string out;
  std::size_t copied = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = LengthAt(text, at, end);
    if (length == 0) {
      ++at;
      continue;
    }
    out.append(text, copied, at - copied).append(kRedacted);
    at += length;
    copied = at;
  }
  out.append(text, copied);
  return out;
}

}  // namespace outboxd
