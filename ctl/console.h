// ctl/console.h — where a verb's words go and come from. main.cc fills it from the real terminal, tests from
// strings and pipes.
#pragma once

#include <functional>
#include <ostream>
#include <string>
#include <string_view>

#include "core/time.h"

namespace outboxd {

struct Console {
  std::ostream& out;
  std::ostream& err;
  int in_fd = 0;
  bool out_is_terminal = false;
  bool err_is_terminal = false;
  bool in_is_terminal = false;
  bool colour = false;  // on `out`
  int width = 0;        // columns of `out`; 0: not a terminal, do not cut
  int err_width = 0;    // the same of `err`
  std::function<Timestamp()> clock = {};
};

enum class Colour { kPlain, kBold, kDim, kGreen, kYellow, kRed };

// One line of JSON on `out`, safe for a terminal.
void PrintJson(const Console& console, std::string_view json);

// `text` in `colour` when the console has colours. The text is printed as it is: escape foreign bytes first.
std::string Paint(const Console& console, Colour colour, std::string_view text);

}  // namespace outboxd
