// SPDX-License-Identifier: Apache-2.0
// The guest kernel's command line, which also carries the agent's options. All hypervisors share it; each adds the
// words that depend on its VM.
#pragma once

#include <string>
#include <vector>

#include "config/config.h"
#include "hypervisor/hypervisor.h"

namespace kata::hypervisor {

// The words that a hypervisor adds.
struct KernelWords {
  std::vector<std::string> consoles;  // consoles, early consoles, and the way to reboot
  std::vector<std::string> others;    // clocks and devices
  int timeout_scale = 1;              // Capabilities::timeout_scale
};

// The command line: built-in words and those of the hypervisor, then the configuration's kernel_params, then
// VmSpec::kernel_parameters. A later word overrides an earlier one. kInvalidArgument: more than the 2047 bytes that the
// kernel reads, or a control character.
Result<std::string> KernelCommandLine(const config::Config& config, const VmSpec& spec, const KernelWords& words);

}  // namespace kata::hypervisor
