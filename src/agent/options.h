// SPDX-License-Identifier: Apache-2.0
// The agent's options: the agent.* words of the kernel's command line, with Kata's names and defaults.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/log.h"
#include "protocol/guest_contract.h"

namespace kata::agent {

struct Options {
  log::Level log_level = log::Level::kInfo;  // agent.log
  std::string server_address;                // agent.server_addr; empty: FindAddress (transport.h) chooses
  uint32_t pipe_size = 0;                    // agent.container_pipe_size, bytes; 0: MakePipes chooses
  std::chrono::seconds hotplug_timeout{contract::kHotplugTimeout};  // agent.hotplug_timeout
  std::string cgroup_mount = "/sys/fs/cgroup";                      // mount point of cgroup2; tests use another
};

// Parses the agent.* words of text, which has the format of /proc/cmdline. A bad or unknown word is logged and ignored,
// never an error: an agent that gave up here could not report the fault to the host.
Options ParseOptions(std::string_view text);

}  // namespace kata::agent
