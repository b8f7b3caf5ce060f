// SPDX-License-Identifier: Apache-2.0
// Reads several TOML texts, one after the other, into one Config.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "config/config.h"
#include "config/key.h"

namespace kata::config {

// The boolean that a TOML text has as key outside of all tables. Nothing: there is none, the key is something else, or
// the text is not TOML.
std::optional<bool> BooleanIn(const std::string& text, const std::string& key);

class TextReader {
 public:
  // config must outlive the reader. After an error it may be partly changed.
  explicit TextReader(Config& config) : config_(config) {}

  // Reads one text; its values override those of earlier texts. Messages name file, line and key.
  Result<> Read(const std::string& text, const std::string& file);
  // To be called after the last text: chooses the hypervisor, checks keys that depend on each other, and returns the
  // warnings.
  Result<std::vector<std::string>> Finish();

 private:
  class Tables;

  Config& config_;
  std::map<std::string, std::string> where_;  // each key that was set ("hypervisor.qemu.image") -> "file:line"
  std::vector<std::string> unused_;           // keys and tables that are known but not used yet, in order of appearance
  std::vector<std::string> hypervisors_;      // names of the hypervisors that have a table, in order of appearance
};

}  // namespace kata::config
