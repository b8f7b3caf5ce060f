// SPDX-License-Identifier: Apache-2.0
// The columns that ps(1) knows, for processes in a guest, which no ps on the host can see.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/guest_process.h"

namespace kata::runtime {

struct PsColumn {
  std::string_view name;  // as after -o
  std::string_view header;
  int width = 0;  // at least; negative: to the left
  std::string (*value)(const GuestProcess& process) = nullptr;
};

// A column of a table, perhaps with another header.
struct PsChoice {
  const PsColumn* column = nullptr;
  std::string header;
  int width = 0;  // at least; 0: the column's
};

// Null: ps has no such column, or none that a guest can fill.
const PsColumn* FindPsColumn(std::string_view name);

// The table, with a line of headers unless all of them are empty or heads is false.
std::string PsTable(const std::vector<PsChoice>& columns, const std::vector<GuestProcess>& processes,
                    bool heads = true);

}  // namespace kata::runtime
