// SPDX-License-Identifier: Apache-2.0
// The options of ps(1) that say which columns of which processes are shown, as procps reads them: with a dash, without
// one, and the long ones.
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
  std::optional<std::vector<int64_t>> pids;  // only these; unset: all of the container
  std::vector<Key> order;                    // empty: as the guest lists them
};

// No words are -ef, as with runc. Options that choose among all processes of a machine (-e, a, x) choose all of the
// container's. kInvalidArgument, with the word, for an option or a column that means nothing here.
Result<PsView> ParsePsOptions(const std::vector<std::string>& words);

// What the view shows of them.
std::string ShowProcesses(const PsView& view, std::vector<GuestProcess> processes);

}  // namespace kata::runtime
