// SPDX-License-Identifier: Apache-2.0
#include "setup/setting.h"

#include <fmt/ranges.h>

#include "base/text.h"

namespace kata::setup {

const nlohmann::json* Find(const nlohmann::json& document, const std::vector<std::string>& path) {
  const nlohmann::json* node = &document;
  for (const std::string& name : path) {
    const auto found = node->find(name);  // end() for what is no object
    if (found == node->end()) return nullptr;
    node = &*found;
  }
  return node;
}

std::string Name(const std::vector<std::string>& path) { return fmt::format("{}", fmt::join(path, ".")); }

Result<std::vector<Setting>> Missing(const nlohmann::json& document, const std::vector<Setting>& settings) {
  std::vector<Setting> missing;
  for (const Setting& setting : settings) {
    for (size_t depth = 1; depth < setting.path.size(); ++depth) {
      const std::vector<std::string> above(setting.path.begin(), setting.path.begin() + static_cast<ptrdiff_t>(depth));
      const nlohmann::json* node = Find(document, above);
      if (node != nullptr && !node->is_object()) {
        return Fail(Code::kAlreadyExists, "{} is no table, but {}", Name(above), ForeignText(node->dump(), 200));
      }
    }
    const nlohmann::json* node = Find(document, setting.path);
    if (node != nullptr && *node == nlohmann::json(setting.value)) continue;
    if (node != nullptr && !setting.replaces) {
      return Fail(Code::kAlreadyExists, "{} is there already with other values, {}: remove or rename it first",
                  Name(setting.path), ForeignText(node->dump(), 200));
    }
    missing.push_back(setting);
  }
  return missing;
}

nlohmann::json With(nlohmann::json document, const std::vector<Setting>& settings) {
  for (const Setting& setting : settings) {
    nlohmann::json* node = &document;
    for (const std::string& name : setting.path) node = &(*node)[name];
    *node = nlohmann::json(setting.value);
  }
  return document;
}

}  // namespace kata::setup
