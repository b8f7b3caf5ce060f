// SPDX-License-Identifier: Apache-2.0
// What an engine's configuration must say, apart from the language in which its file says it.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/result.h"

namespace kata::setup {

// One value, or one table with its values.
struct Setting {
  std::vector<std::string> path;  // the names from the top of the file to it
  nlohmann::ordered_json value;
  bool replaces = false;  // whether it may take the place of another value, which comes back with the undoing

  bool operator==(const Setting&) const = default;
};

// The value at a path, or null.
const nlohmann::json* Find(const nlohmann::json& document, const std::vector<std::string>& path);

// The path as people write it: runtimes.kata.
std::string Name(const std::vector<std::string>& path);

// Those of the settings that the document does not have. kAlreadyExists: it has another value for one that replaces
// none, or something that is no table where one must be.
Result<std::vector<Setting>> Missing(const nlohmann::json& document, const std::vector<Setting>& settings);

// The document with the settings, which Missing has returned for it.
nlohmann::json With(nlohmann::json document, const std::vector<Setting>& settings);

}  // namespace kata::setup
