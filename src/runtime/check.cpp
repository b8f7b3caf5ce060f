// SPDX-License-Identifier: Apache-2.0
// `check`: prints the results of hypervisor/check.h and setup/engine_check.h for users.
#include "hypervisor/check.h"

#include "base/log.h"
#include "config/config.h"
#include "runtime/output.h"
#include "runtime/verbs.h"
#include "setup/engine_check.h"

namespace kata::runtime {

Result<int> Check(const Globals& globals, const CheckOptions&) {
  const config::Loaded loaded = TRY(config::Load(config::OptionsOfProcess(globals.config_path)));
  for (const std::string& warning : loaded.warnings) log::Warn("{}", warning);
  std::string text;
  for (const std::string& file : loaded.files) text += fmt::format("ok    configuration: {}\n", file);
  if (loaded.files.empty()) text += "ok    configuration: none found, the defaults count\n";
  std::vector<hypervisor::CheckItem> items = hypervisor::CheckHost(loaded.config);
  for (hypervisor::CheckItem& item : setup::CheckEngines(loaded.config.runtime.timeout_factor)) {
    items.push_back(std::move(item));
  }
  for (const hypervisor::CheckItem& item : items) {
    const char* mark = item.ok ? "ok  " : item.required ? "FAIL" : "note";
    text += fmt::format("{}  {}: {}\n", mark, item.name, item.detail);
    if (!item.ok && !item.advice.empty()) text += fmt::format("      {}\n", item.advice);
  }
  const bool able = hypervisor::CanRunGuests(items);
  text += able ? "This machine can run guests.\n" : "This machine cannot run guests.\n";
  TRY(Print(text));
  return able ? 0 : 1;
}

}  // namespace kata::runtime
