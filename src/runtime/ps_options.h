// SPDX-License-Identifier: Apache-2.0
// The options of ps(1) that choose columns and processes, in the three styles of procps: UNIX (with a dash), BSD
// (without one) and GNU (long).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "runtime/ps_columns.h"

namespace kata::runtime {

struct PsView {
  struct Key {
    const PsColumn* column = nullptr;
    bool descending = false;
  };
  std::vector<PsChoice> columns;
  bool heads = true;
  std::optional<std::vector<int64_t>> pids;  // show only these; unset: all processes of the container
  std::vector<Key> order;                    // sort keys; empty: the order of the guest's list
};

// Without words the options are -ef, as with runc. Options that select processes of the whole machine (-e, a, x) select
// all processes of the container. kInvalidArgument: an unknown or unsupported option or column; the message quotes it.
Result<PsView> ParsePsOptions(const std::vector<std::string>& words);

// The output of ps: the selected processes, sorted, as a table.
std::string ShowProcesses(const PsView& view, std::vector<GuestProcess> processes);

}  // namespace kata::runtime
