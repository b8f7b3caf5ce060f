// SPDX-License-Identifier: Apache-2.0
// Reads TOML texts, one after the other, into one Config.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "config/config.h"
#include "config/key.h"

namespace kata::config {

class TextReader {
 public:
  explicit TextReader(Config& config) : config_(config) {}

  // Reads one text over what is there; errors name file, line and key.
  Result<> Read(const std::string& text, const std::string& file);
  // Checks what must fit together after the last text, and returns the warnings.
  Result<std::vector<std::string>> Finish();

 private:
  class Tables;

  Config& config_;
  std::map<std::string, std::string> where_;  // "hypervisor.qemu.image" to "file:line", of what was set
  std::vector<std::string> unused_;           // in the order in which they were met
  std::vector<std::string> hypervisors_;      // that have a table, in the same order
};

}  // namespace kata::config
