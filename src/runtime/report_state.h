// SPDX-License-Identifier: Apache-2.0
// What `state` and `list` print, field for field as runc does.
#pragma once

#include <string>
#include <vector>

#include "runtime/store.h"

namespace kata::runtime {

// One JSON object, indented, ending with a newline.
std::string StateJson(const Record& record);

// One JSON array on one line; "null" without containers, as runc prints it.
std::string ListJson(const std::vector<Record>& records);

// A table with a head; columns are as wide as their contents.
std::string ListTable(const std::vector<Record>& records);

}  // namespace kata::runtime
