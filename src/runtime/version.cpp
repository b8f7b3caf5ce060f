// SPDX-License-Identifier: Apache-2.0
// The options --version and --show-default-config-paths.
#include "config/config.h"
#include "runtime/output.h"
#include "runtime/verbs.h"

namespace kata::runtime {

Result<int> Version(const Globals&, const VersionOptions&) {
  return Print("kata-runtime version " KATA_VERSION "\nspec: 1.1.0\n");
}

Result<int> ConfigPaths(const Globals&, const ConfigPathsOptions&) {
  std::string paths;
  for (const std::string& path : config::SearchPaths(config::OptionsOfProcess(""))) paths += path + "\n";
  return Print(paths);
}

}  // namespace kata::runtime
