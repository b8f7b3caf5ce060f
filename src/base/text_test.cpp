// SPDX-License-Identifier: Apache-2.0
#include "base/text.h"

#include <gtest/gtest.h>

namespace kata {
namespace {

TEST(ForeignText, KeepsWhatPeopleWrite) {
  for (const char* text : {"", "plain", "two\nlines\tand a tab", "Käse, 麵包, \xf0\x9f\x8d\x9e"}) {
    EXPECT_EQ(ForeignText(text), text);
  }
}

TEST(ForeignText, CommandsOfATerminalAreShownAndNotObeyed) {
  EXPECT_EQ(ForeignText("\x1b[2J\r\a\x7f"), "\\x1b[2J\\x0d\\x07\\x7f");
  EXPECT_EQ(ForeignText("\xc2\x9b"
                        "31m"),
            "\\xc2\\x9b"
            "31m");  // CSI as one character
  EXPECT_EQ(ForeignText("\xe2\x80\xae"
                        "txt"),
            "\\xe2\\x80\\xae"
            "txt");  // from right to left
  EXPECT_EQ(ForeignText(std::string_view("a\0b", 3)), "a\\x00b");
}

TEST(ForeignText, WhatIsNoUtf8IsEscaped) {
  // Truncated, overlong, a surrogate, above U+10FFFF, and a byte that never occurs in UTF-8.
  EXPECT_EQ(ForeignText("\xe4\xbd"), "\\xe4\\xbd");
  EXPECT_EQ(ForeignText("\xc0\xaf"), "\\xc0\\xaf");
  EXPECT_EQ(ForeignText("\xe0\x80\xaf"), "\\xe0\\x80\\xaf");
  EXPECT_EQ(ForeignText("\xed\xa0\x80"), "\\xed\\xa0\\x80");
  EXPECT_EQ(ForeignText("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");
  EXPECT_EQ(ForeignText("\xff"), "\\xff");
}

TEST(ForeignText, HasABoundThatNoEscapeExceeds) {
  EXPECT_EQ(ForeignText("123456", 6), "123456");
  EXPECT_EQ(ForeignText("1234567", 6), "123...");
  EXPECT_EQ(ForeignText("12\xff"
                        "4567",
                        8),
            "12...");
  EXPECT_EQ(ForeignText("\xff", 2), "..");
  // Never cuts within a character.
  EXPECT_EQ(ForeignText("ääääää", 8), "ää...");
  EXPECT_EQ(ForeignText(std::string(100000, '\x1b')).size(), kMaxForeignText - 1);
}

TEST(Printable, IsAscii) { EXPECT_EQ(Printable("a\r\n\tb\x1b\xc3\xa4"), "a\n\tb\\x1b\\xc3\\xa4"); }

}  // namespace
}  // namespace kata
