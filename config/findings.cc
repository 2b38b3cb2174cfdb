#include "config/findings.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "core/result.h"
#include "core/text.h"

namespace outboxd {
namespace {

constexpr std::size_t kProblemsShown = 10;
constexpr std::size_t kValueBytesShown = 80;

}  // namespace

std::string ShownInFinding(std::string_view text) {
  const std::string_view end = text.size() > kValueBytesShown ? "…" : "";
  return EscapeForTerminal(CutAtCharacter(text, kValueBytesShown)) + std::string(end);
}

void ConfigFindings::Add(int line, const std::string& key, const std::string& message) {
  const std::string where = key.empty() ? "" : ShownInFinding(key) + ": ";
  const auto is_before = [](int at, const Problem& problem) { return at < problem.line; };
  const auto place = std::upper_bound(problems_.begin(), problems_.end(), line, is_before);
  problems_.insert(place, {line, key, file_.string() + ':' + std::to_string(line) + ": " + where + message});
}

Failure ConfigFindings::ToFailure() const {
  std::string message;
  for (std::size_t i = 0; i < std::min(problems_.size(), kProblemsShown); ++i)
    message += (i == 0 ? "" : "\n") + problems_[i].text;
  if (problems_.size() > kProblemsShown)
    message += "\nand " + std::to_string(problems_.size() - kProblemsShown) + " more";
  return Fail(ErrorKind::kInvalid, std::move(message), problems_.front().key);
}

}  // namespace outboxd
