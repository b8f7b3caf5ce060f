// SPDX-License-Identifier: Apache-2.0
// Text that a guest, a daemon or an image chose, made fit for a log, an error, a record and a terminal.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace kata {

// What is kept of such a text, in bytes.
inline constexpr size_t kMaxForeignText = 4096;

// Valid UTF-8 of at most limit bytes ("..." at its end where it was cut). Newline and tab stay; every other control
// character, what changes the direction of a line or cannot be seen, and every byte that is no UTF-8 becomes \xNN.
std::string ForeignText(std::string_view text, size_t limit = kMaxForeignText);

// For streams that come in pieces: newline and tab stay, carriage returns go, every other byte that is not printable
// ASCII becomes \xNN.
std::string Printable(std::string_view text);

}  // namespace kata
