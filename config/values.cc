#include "config/values.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <numeric>
#include <optional>
#include <span>
#include <string_view>
#include <system_error>
#include <vector>

#include "core/ascii.h"
#include "core/duration.h"
#include "core/limits.h"
#include "core/result.h"
#include "core/time.h"
#include "core/units.h"

namespace outboxd::config_values {
namespace {

// From large to small, as they are shown in the largest that divides.
constexpr std::array<Unit, 9> kSizeUnits = {{{"TiB", 1ULL << 40},
                                             {"TB", 1'000'000'000'000},
                                             {"GiB", 1ULL << 30},
                                             {"GB", 1'000'000'000},
                                             {"MiB", 1ULL << 20},
                                             {"MB", 1'000'000},
                                             {"KiB", 1ULL << 10},
                                             {"kB", 1000},
                                             {"", 1}}};

bool IsVariableName(std::string_view name) {
  return !name.empty() && !IsDigit(name.front()) &&
         std::all_of(name.begin(), name.end(), [](char c) { return IsDigit(c) || IsLetter(c) || c == '_'; });
}

Result<void> CheckPort(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port == 0)
    return Fail(ErrorKind::kInvalid, "the port must be 1 to 65535");
  return {};
}

bool IsLoopbackIpv4(std::string_view text) {
  for (int part = 0; part < 4; ++part) {
    std::uint8_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || (part == 0 && number != 127)) return false;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    if (part == 3) return text.empty();
    if (!text.starts_with('.')) return false;
    text.remove_prefix(1);
  }
  return false;
}

// "host", "host:443", "[::1]:443".
Result<void> CheckAuthority(std::string_view authority) {
  if (authority.find('@') != std::string_view::npos)
    return Fail(ErrorKind::kInvalid, "a user or password does not belong here");
  const std::size_t bracket = authority.rfind(']');
  const std::size_t colon = authority.find(':', bracket == std::string_view::npos ? 0 : bracket);
  const std::string_view host = authority.substr(0, colon);
  if (host.empty()) return Fail(ErrorKind::kInvalid, "a host is missing");
  const bool is_bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  const std::string_view inside = is_bracketed ? host.substr(1, host.size() - 2) : host;
  const std::string_view others = is_bracketed ? ":." : ".-_";
  const auto allowed = [&](char c) {
    return IsDigit(c) || IsLetter(c) || others.find(c) != std::string_view::npos;
  };
  if (!std::all_of(inside.begin(), inside.end(), allowed))
    return Fail(ErrorKind::kInvalid, "the host has a character that is not allowed");
  return colon == std::string_view::npos ? Result<void>() : CheckPort(authority.substr(colon + 1));
}

// Levenshtein's, with letter case costing nothing.
std::size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (Lower(a[i - 1]) == Lower(b[j - 1]) ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

}  // namespace

Result<Milliseconds> ReadDuration(std::string_view text) {
  if (const std::optional<Milliseconds> duration = ParseDuration(text)) return *duration;
  return Fail(ErrorKind::kInvalid,
              "must be a duration: a whole number and its unit, like 50ms, 1s, 10min, 72h or 7d");
}

Result<std::uint64_t> ReadWholeNumber(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc() && end == text.data() + text.size()) return number;
  return Fail(ErrorKind::kInvalid, "must be a whole number");
}

Result<std::uint64_t> ReadSize(std::string_view text) {
  const std::optional<std::uint64_t> number = ParseWithUnit(text, kSizeUnits);
  if (!number)
    return Fail(ErrorKind::kInvalid,
                "must be a size: a whole number of bytes, or one with its unit, like 500kB, 64MiB or 20GiB");
  return *number;
}

std::string ShowSize(std::uint64_t bytes) {
  return ShowWithUnit(bytes, kSizeUnits);
}

Result<std::uint32_t> ReadMode(std::string_view text) {
  constexpr std::uint32_t kOwner = 0600;
  std::uint32_t mode = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), mode, 8);
  const bool is_octal =
      error == std::errc() && end == text.data() + text.size() && (text.size() == 3 || text.size() == 4);
  if (!is_octal || mode > 0777 || (mode & kOwner) != kOwner) {
    return Fail(ErrorKind::kInvalid,
                "must be an octal file mode from \"0600\" to \"0777\" that lets the owner read and write, "
                "like \"0660\"");
  }
  return mode;
}

Result<std::string> SubstituteEnvironment(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::string_view rest = text.substr(at);
    if (rest.starts_with("$${")) {
      out += "${";
      at += 3;
    } else if (rest.starts_with("${")) {
      const std::size_t end = rest.find('}');
      const std::string name(rest.substr(2, end == std::string_view::npos ? 0 : end - 2));
      if (!IsVariableName(name))
        return Fail(ErrorKind::kInvalid, "has a \"${\" that is not followed by a variable's name and \"}\"");
      const char* value = std::getenv(name.c_str());
      if (value == nullptr)
        return Fail(ErrorKind::kInvalid, "the environment variable " + name + " is not set");
      out += value;
      at += end + 1;
    } else {
      out += text[at++];
    }
  }
  return out;
}

Result<std::string> ReadBaseUrl(std::string_view text) {
  const std::size_t scheme = text.starts_with("https://") ? 8 : text.starts_with("http://") ? 7 : 0;
  if (scheme == 0) return Fail(ErrorKind::kInvalid, "must begin with http:// or https://");
  const auto is_bad = [](char c) {
    return IsControl(c) || c == ' ' || c == '"' || c == '\\' || static_cast<unsigned char>(c) > 0x7f;
  };
  if (std::any_of(text.begin(), text.end(), is_bad))
    return Fail(ErrorKind::kInvalid, "has a character that is not allowed in a URL");
  if (text.find_first_of("?#") != std::string_view::npos)
    return Fail(ErrorKind::kInvalid, "must not have a query or a fragment");
  const std::string_view rest = text.substr(scheme);
  RETURN_IF_ERROR(CheckAuthority(rest.substr(0, rest.find('/'))));
  const std::string_view url = text.substr(0, text.find_last_not_of('/') + 1);
  if (url.ends_with("/api") || url.ends_with("/api/v1") || url.ends_with("/api/v2")) {
    return Fail(ErrorKind::kInvalid, "must end before /api/v1 and /api/v2, which are appended");
  }
  return std::string(url);
}

bool IsLoopbackHost(std::string_view host) {
  return host == "[::1]" || EqualsIgnoringCase(host, "localhost") || IsLoopbackIpv4(host);
}

Result<void> CheckLoopback(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  const std::string_view host = text.substr(0, colon);
  if (colon == std::string_view::npos || (host != "[::1]" && !IsLoopbackIpv4(host))) {
    return Fail(ErrorKind::kInvalid,
                "must be a loopback address and a port, like 127.0.0.1:9480 or [::1]:9480");
  }
  return CheckPort(text.substr(colon + 1));
}

Result<void> CheckAddress(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  std::string host(text.substr(0, colon));
  const bool is_bracketed = host.starts_with('[') && host.ends_with(']');
  if (is_bracketed) host = host.substr(1, host.size() - 2);
  in6_addr parsed{};
  if (colon == std::string_view::npos ||
      inet_pton(is_bracketed ? AF_INET6 : AF_INET, host.c_str(), &parsed) != 1) {
    return Fail(ErrorKind::kInvalid,
                "must be an address and a port, like 127.0.0.1:9480, 0.0.0.0:9480 or [::]:9480");
  }
  return CheckPort(text.substr(colon + 1));
}

Result<void> CheckHostName(std::string_view text) {
  constexpr std::size_t kHostNameBytes = 253;  // RFC 1035
  const auto allowed = [](char c) { return IsDigit(c) || IsLetter(c) || c == '_' || c == '.' || c == '-'; };
  if (!text.empty() && text.size() <= kHostNameBytes && std::all_of(text.begin(), text.end(), allowed))
    return {};
  return Fail(ErrorKind::kInvalid, "must be the name of a host, without a port");
}

Result<void> CheckConnectionName(std::string_view text) {
  const auto allowed = [](char c) { return IsDigit(c) || IsLetter(c) || c == '_' || c == '.' || c == '-'; };
  if (text.empty() || text.size() > limits::kConnectionNameBytes ||
      !std::all_of(text.begin(), text.end(), allowed)) {
    return Fail(ErrorKind::kInvalid,
                "a connection's name must be 1 to 64 of the characters A-Z a-z 0-9 _ . -");
  }
  return {};
}

Result<void> CheckCredential(std::string_view text, CredentialKind kind) {
  if (text.empty()) return Fail(ErrorKind::kInvalid, "is empty");
  if (std::any_of(text.begin(), text.end(), IsControl))
    return Fail(ErrorKind::kInvalid, "has a control character or more than one line");
  if (kind == CredentialKind::kSiteId && text.find(':') != std::string_view::npos) {
    return Fail(ErrorKind::kInvalid, "has a colon, which a site id cannot have");
  }
  return {};
}

std::string_view Nearest(std::string_view text, const std::vector<std::string>& known) {
  std::string_view nearest;
  std::size_t best = std::max<std::size_t>(2, text.size() / 3) + 1;
  if (text.size() > limits::kConnectionNameBytes) return nearest;
  for (const std::string& candidate : known) {
    const std::size_t distance = EditDistance(text, candidate);
    if (distance < best && distance < candidate.size()) {
      best = distance;
      nearest = candidate;
    }
  }
  return nearest;
}

}  // namespace outboxd::config_values
