#include "ctl/console.h"

#include <string>
#include <string_view>

#include "core/text.h"

namespace outboxd {
namespace {

std::string_view Code(Colour colour) {
  switch (colour) {
    case Colour::kPlain:
      return "";
    case Colour::kBold:
      return "\x1b[1m";
    case Colour::kDim:
      return "\x1b[2m";
    case Colour::kGreen:
      return "\x1b[32m";
    case Colour::kYellow:
      return "\x1b[33m";
    case Colour::kRed:
      return "\x1b[31m";
  }
  return "";
}

}  // namespace

void PrintJson(const Console& console, std::string_view json) {
  console.out << EscapeJsonForTerminal(json) << '\n';
}

std::string Paint(const Console& console, Colour colour, std::string_view text) {
  if (!console.colour || colour == Colour::kPlain) return std::string(text);
  return std::string(Code(colour)) + std::string(text) + "\x1b[0m";
}

}  // namespace outboxd
