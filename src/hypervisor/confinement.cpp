// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/confinement.h"

#include <utility>

#include "base/log.h"

namespace kata::hypervisor {

Result<std::vector<ExecLabel>> LabelsAtExec(const config::HypervisorConfig& config, const std::string& profile) {
  std::vector<ExecLabel> labels;
  if (auto label = TRY(ProfileAtExec(config.apparmor, profile))) labels.push_back(*std::move(label));
  if (!config.disable_selinux) {
    if (auto label = SelinuxAtExec(config.selinux_label)) labels.push_back(*std::move(label));
  }
  for (const ExecLabel& label : labels) log::Debug("{}: {}", label.file, label.line);
  return labels;
}

}  // namespace kata::hypervisor
