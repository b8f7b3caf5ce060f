// SPDX-License-Identifier: Apache-2.0
// The columns of ps(1), for processes in a guest, which a ps on the host cannot see.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/guest_process.h"

namespace kata::runtime {

// A column that ps can show.
struct PsColumn {
  std::string_view name;  // its name for -o
  std::string_view header;
  int width = 0;  // minimum width; negative: aligned to the left
  std::string (*value)(const GuestProcess& process) = nullptr;
};

// A column of a table, possibly with another header.
struct PsChoice {
  const PsColumn* column = nullptr;
  std::string header;
  int width = 0;  // minimum width; 0: that of the column
};

// nullptr: ps has no such column, or it is not supported for guests.
const PsColumn* FindPsColumn(std::string_view name);

// The table, with a header line unless all headers are empty or heads is false.
std::string PsTable(const std::vector<PsChoice>& columns, const std::vector<GuestProcess>& processes,
                    bool heads = true);

}  // namespace kata::runtime
