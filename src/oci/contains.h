// SPDX-License-Identifier: Apache-2.0
// Whether a list of strings contains a given one.
#pragma once

#include <algorithm>
#include <string_view>

namespace kata::oci {

template <typename List>
bool Contains(const List& list, std::string_view value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

}  // namespace kata::oci
