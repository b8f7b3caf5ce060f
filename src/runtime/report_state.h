// SPDX-License-Identifier: Apache-2.0
// The output of `state` and `list`, with the same fields as runc.
#pragma once

#include <string>
#include <vector>

#include "runtime/store.h"

namespace kata::runtime {

// One JSON object, indented, ending with a newline.
std::string StateJson(const Record& record);

// One JSON array on one line; "null" if there are no containers, as with runc.
std::string ListJson(const std::vector<Record>& records);

// A table with a header line; the columns are as wide as their contents.
std::string ListTable(const std::vector<Record>& records);

}  // namespace kata::runtime
