#include "daemon/delivery/debug_text.h"

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/ascii.h"
#include "core/request.h"
#include "core/secrets.h"
#include "core/text.h"
#include "core/verdict.h"
#include "daemon/delivery/transfer.h"

namespace outboxd {
namespace {

constexpr std::size_t kBodyBytes = 10'000;

std::string Subject(const Transfer& transfer) {
  return "connection=" + transfer.connection +
         (transfer.job ? " job=" + transfer.job->stamp.id.ToText() : std::string());
}

std::string CutBody(std::string_view body, std::size_t bytes) {
  std::string text = EscapeForTerminal(CutAtCharacter(body, kBodyBytes));
  if (bytes > kBodyBytes) text += " … (" + std::to_string(bytes) + " bytes)";
  return text;
}

bool IsSecret(std::string_view header) {
  return EqualsIgnoringCase(header, "authorization") || EqualsIgnoringCase(header, "proxy-authorization");
}

void AppendHeader(std::string& text, const std::string& name, const std::string& value,
                  const Secrets& secrets) {
  text.append(" | ").append(EscapeForTerminal(secrets.Redact(name + ": " + value)));
}

}  // namespace

std::string DebugRequestText(const Transfer& transfer, const HttpRequest& request, const Secrets& secrets) {
  std::string text = "debug request " + Subject(transfer) + " " +
                     EscapeForTerminal(secrets.Redact(request.method + " " + request.target));
  for (const auto& [name, value] : request.headers) {
    if (!IsSecret(name)) AppendHeader(text, name, value, secrets);
  }
  return text + " | " + CutBody(secrets.Redact(request.body), request.body.size());
}

std::string DebugAnswerText(const Transfer& transfer, const Answer& answer,
                            const std::vector<std::pair<std::string, std::string>>& headers,
                            std::size_t body_bytes, const Secrets& secrets) {
  std::string text = "debug answer " + Subject(transfer) + " ";
  if (answer.status == 0) return text + answer.error;
  text += std::to_string(answer.status);
  for (const auto& [name, value] : headers) AppendHeader(text, name, value, secrets);
  return text + " | " + CutBody(answer.ShownBody(), body_bytes);
}

}  // namespace outboxd
