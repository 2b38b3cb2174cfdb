#include "ctl/table.h"

#include <doctest/doctest.h>

#include <sstream>

namespace outboxd {
namespace {

std::string Print(Table& table, bool colour = false, int width = 0) {
  std::ostringstream out;
  std::ostringstream err;
  Console console{out, err};
  console.colour = colour;
  console.width = width;
  table.Print(console);
  return out.str();
}

TEST_CASE("table: columns line up, numbers to the right, no blanks at the end of a line") {
  Table table({{"NAME"}, {"COUNT", Align::kRight}, {"WHY"}});
  table.Add({"default", "5", "because"});
  table.Add({"a", "1,234,567", ""});
  CHECK(Print(table) ==
        "NAME         COUNT  WHY\n"
        "default          5  because\n"
        "a        1,234,567\n");
}

TEST_CASE("table: later rows go on below the same header, columns never shrink") {
  Table table({{"A"}, {"B"}});
  table.Add({"long one", "x"});
  CHECK(Print(table) == "A         B\nlong one  x\n");
  table.Add({"s", "y"});
  CHECK(Print(table) == "s         y\n");
}

TEST_CASE("table: foreign bytes are escaped and cannot break the layout") {
  Table table({{"CUSTOMER"}, {"X"}});
  table.Add({"\x1b[2J\nevil", "1"});
  CHECK(Print(table) == "CUSTOMER         X\n\\x1b[2J\\x0aevil  1\n");
}

TEST_CASE("table: wide and combining characters count as the columns they take") {
  CHECK(DisplayWidth("e\xcc\x81") == 1);
  CHECK(DisplayWidth("日本") == 4);
  CHECK(DisplayWidth("\xf0\x9f\x98\x80") == 2);
  CHECK(DisplayWidth("äö") == 2);
  Table table({{"N"}, {"X"}});
  table.Add({"日本", "1"});
  table.Add({"abcd", "2"});
  CHECK(Print(table) == "N     X\n日本  1\nabcd  2\n");
}

TEST_CASE("table: on a terminal the last column is cut at its edge") {
  CHECK(CutToWidth("abcdef", 6) == "abcdef");
  CHECK(CutToWidth("abcdef", 4) == "abc…");
  CHECK(CutToWidth("日本語", 4) == "日…");
  Table table({{"A"}, {"REASON"}});
  table.Add({"x", "a very long reason indeed"});
  CHECK(Print(table, false, 20) == "A  REASON\nx  a very long reas…\n");
}

TEST_CASE("table: colours frame a cell without moving the columns") {
  Table table({{"STATE"}, {"X"}});
  table.Add({Cell("open", Colour::kGreen), "1"});
  CHECK(Print(table, true) == "\x1b[1mSTATE\x1b[0m  \x1b[1mX\x1b[0m\n\x1b[32mopen\x1b[0m   1\n");
}

}  // namespace
}  // namespace outboxd
