// SPDX-License-Identifier: Apache-2.0
// The guest kernel's command line, which also tells the agent its options: the same for every hypervisor, but for the
// words that are about its VM.
#pragma once

#include <string>
#include <vector>

#include "config/config.h"
#include "hypervisor/hypervisor.h"

namespace kata::hypervisor {

// A hypervisor's own words.
struct KernelWords {
  std::vector<std::string> consoles;  // where the kernel prints, from its first line on, and how it ends
  std::vector<std::string> others;    // of its clocks and devices
  int timeout_scale = 1;              // Capabilities::timeout_scale
};

// Ours, the hypervisor's, the configuration's kernel_params, then the sandbox's; a later word wins. kInvalidArgument
// when the line is longer than the kernel reads (2047 bytes), or has control characters.
Result<std::string> KernelCommandLine(const config::Config& config, const VmSpec& spec, const KernelWords& words);

}  // namespace kata::hypervisor
