// SPDX-License-Identifier: Apache-2.0
// What the host's security modules hold the VMM and the file server to, beside what these do themselves
// (docs/security-modules.md).
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/security_module.h"
#include "config/config.h"

namespace kata::hypervisor {

// For Command::labels: the profile of AppArmor and the label of SELinux, as the keys apparmor, disable_selinux and
// selinux_label say, where the host has them. kFailedPrecondition: apparmor = "on", and the host does not have the
// profile.
Result<std::vector<ExecLabel>> LabelsAtExec(const config::HypervisorConfig& config, const std::string& profile);

}  // namespace kata::hypervisor
