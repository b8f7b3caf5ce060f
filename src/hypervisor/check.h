// SPDX-License-Identifier: Apache-2.0
// Whether and how this host can run guests: the facts behind `kata-runtime check`.
#pragma once

#include <string>
#include <vector>

#include "config/config.h"

namespace kata::hypervisor {

// One fact.
struct CheckItem {
  std::string name;
  bool ok = false;
  bool required = true;  // false: guests run without it, only in another way
  std::string detail;    // what was found
  std::string advice;    // what to do when it is not ok
};

std::vector<CheckItem> CheckHost(const config::Config& config);

// Whether guests can run: nothing that is required is missing.
bool CanRunGuests(const std::vector<CheckItem>& items);

}  // namespace kata::hypervisor
