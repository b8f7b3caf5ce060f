// SPDX-License-Identifier: Apache-2.0
// The checks of `kata-runtime check`: whether and how this host can run guests.
#pragma once

#include <string>
#include <vector>

#include "config/config.h"

namespace kata::hypervisor {

// The result of one check.
struct CheckItem {
  std::string name;
  bool ok = false;
  bool required = true;  // false: guests also run without it, in another way
  std::string detail;    // what was found
  std::string advice;    // what the user can do if ok is false
};

// Runs all checks; starts QEMU and the file server with --version, and blocks until they end.
std::vector<CheckItem> CheckHost(const config::Config& config);

// Whether all required checks are ok.
bool CanRunGuests(const std::vector<CheckItem>& items);

}  // namespace kata::hypervisor
