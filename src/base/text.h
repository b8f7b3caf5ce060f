// SPDX-License-Identifier: Apache-2.0
// Makes text from an untrusted source (a guest, a daemon, an image) safe for logs, errors, records and terminals.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace kata {

// The default limit of such a text, in bytes.
inline constexpr size_t kMaxForeignText = 4096;

// Returns valid UTF-8 of at most limit bytes; a text that was cut ends with "...". Newline and tab stay. All other
// control characters, invisible characters, characters that change the writing direction, and bytes that are not valid
// UTF-8 become \xNN.
std::string ForeignText(std::string_view text, size_t limit = kMaxForeignText);

// For streams that arrive in pieces: newline and tab stay, carriage returns are dropped, every other byte that is not
// printable ASCII becomes \xNN.
std::string Printable(std::string_view text);

}  // namespace kata
