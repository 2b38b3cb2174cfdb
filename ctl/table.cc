#include "ctl/table.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/text.h"
#include "ctl/console.h"

namespace outboxd {
namespace {

std::size_t ColumnsOf(char32_t point) {
  const bool combining = (point >= 0x300 && point <= 0x36f) || (point >= 0xfe00 && point <= 0xfe0f);
  const bool wide = (point >= 0x1100 && point <= 0x115f) || (point >= 0x2e80 && point <= 0xa4cf) ||
                    (point >= 0xac00 && point <= 0xd7a3) || (point >= 0xf900 && point <= 0xfaff) ||
                    (point >= 0xfe30 && point <= 0xfe6f) || (point >= 0xff00 && point <= 0xff60) ||
                    (point >= 0x1f300 && point <= 0x1faff) || (point >= 0x20000 && point <= 0x3fffd);
  return combining ? 0 : wide ? 2 : 1;
}

}  // namespace

std::size_t DisplayWidth(std::string_view text) {
  std::size_t width = 0;
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint point = DecodeUtf8(text, at);
    width += ColumnsOf(point.value);
    at += point.length;
  }
  return width;
}

std::string CutToWidth(std::string_view text, std::size_t width) {
  if (DisplayWidth(text) <= width) return std::string(text);
  if (width == 0) return {};
  std::size_t used = 0;
  std::size_t at = 0;
  while (at < text.size()) {
    const CodePoint point = DecodeUtf8(text, at);
    const std::size_t columns = ColumnsOf(point.value);
    if (used + columns > width - 1) break;
    used += columns;
    at += point.length;
  }
  return std::string(text.substr(0, at)) + "…";
}

Table::Table(std::vector<Column> columns) : columns_(std::move(columns)) {
  for (const Column& column : columns_) widths_.push_back(DisplayWidth(column.title));
}

void Table::Add(std::vector<Cell> cells) {
  cells.resize(columns_.size(), Cell(""));
  for (std::size_t i = 0; i < cells.size(); ++i) {
    cells[i].text = EscapeForTerminal(cells[i].text);
    widths_[i] = std::max(widths_[i], DisplayWidth(cells[i].text));
  }
  rows_.push_back(std::move(cells));
}

void Table::Print(const Console& console) {
  if (!header_printed_) {
    std::vector<Cell> titles;
    titles.reserve(columns_.size());
    for (const Column& column : columns_) titles.emplace_back(column.title, Colour::kBold);
    console.out << Line(console, titles) << '\n';
    header_printed_ = true;
  }
  for (const std::vector<Cell>& row : rows_) console.out << Line(console, row) << '\n';
  rows_.clear();
}

std::string Table::Line(const Console& console, const std::vector<Cell>& cells) const {
  constexpr std::size_t kLeastLastColumn = 10;
  std::string line;
  std::size_t used = 0;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const bool last = i + 1 == cells.size();
    std::string text = cells[i].text;
    if (last && console.width > 0) {
      const auto width = static_cast<std::size_t>(console.width);
      text = CutToWidth(text, width > used + kLeastLastColumn ? width - used : kLeastLastColumn);
    }
    const std::string padding(widths_[i] - std::min(widths_[i], DisplayWidth(text)), ' ');
    const std::string painted = Paint(console, cells[i].colour, text);
    if (columns_[i].align == Align::kRight) {
      line += padding + painted;
    } else {
      line += last ? painted : painted + padding;
    }
    if (!last) line += "  ";
    used += widths_[i] + 2;
  }
  line.erase(line.find_last_not_of(' ') + 1);
  return line;
}

}  // namespace outboxd
