// ctl/table.h — aligned columns for people. Every cell is escaped here: foreign bytes cannot reach the
// terminal by way of a table.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ctl/console.h"

namespace outboxd {

enum class Align { kLeft, kRight };

struct Column {
  std::string title;
  Align align = Align::kLeft;
};

struct Cell {
  std::string text;
  Colour colour = Colour::kPlain;
  Cell(std::string content, Colour paint = Colour::kPlain) : text(std::move(content)), colour(paint) {}
  Cell(const char* content) : text(content) {}
};

// Rows gather until Print(), which writes them below the header; later rows continue the same table, its
// columns never shrink.
class Table {
 public:
  explicit Table(std::vector<Column> columns);
  void Add(std::vector<Cell> cells);
  void Print(const Console& console);

 private:
  std::string Line(const Console& console, const std::vector<Cell>& cells) const;

  std::vector<Column> columns_;
  std::vector<std::size_t> widths_;
  std::vector<std::vector<Cell>> rows_;
  bool header_printed_ = false;
};

// Columns a terminal uses for `text` (valid UTF-8 without control characters).
std::size_t DisplayWidth(std::string_view text);

// At most `width` columns of `text`, ending in "…" when cut.
std::string CutToWidth(std::string_view text, std::size_t width);

}  // namespace outboxd
