// SPDX-License-Identifier: Apache-2.0
// The difference of two texts as diff -u shows it.
#pragma once

#include <string>
#include <string_view>

namespace kata::setup {

// With three lines of context; "" for equal texts. A name is what the line --- or +++ has, such as a path or /dev/null.
std::string UnifiedDiff(std::string_view old_name, std::string_view old_text, std::string_view new_name,
                        std::string_view new_text);

}  // namespace kata::setup
