// SPDX-License-Identifier: Apache-2.0
// What `state`, `list` and `ps` print, field for field as runc does.
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

// A process in a container, as ps(1) with -f shows it.
struct ProcessRow {
  std::string user;
  int64_t pid = 0;
  int64_t parent = 0;
  int64_t cpu_percent = 0;
  std::string start;
  std::string terminal;
  std::string time;
  std::string command;
};
std::string ProcessTable(const std::vector<ProcessRow>& rows);

}  // namespace kata::runtime
