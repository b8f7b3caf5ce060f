// SPDX-License-Identifier: Apache-2.0
// What the kernel's command line (agent.* words) tells the agent. Names and defaults are Kata's.
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
  std::string server_address;                // agent.server_addr; empty: virtio-serial, else vsock://-1:1024
  uint32_t pipe_size = 0;                    // agent.container_pipe_size, bytes; 0: MakePipes chooses
  std::chrono::seconds hotplug_timeout{contract::kHotplugTimeout};  // agent.hotplug_timeout
  std::string cgroup_mount = "/sys/fs/cgroup";                      // where cgroup2 is; another place in tests
};

// Reads the agent.* words of text (as /proc/cmdline has it). A word that is not understood is logged, and left out: a
// guest without an agent could tell nobody what is wrong.
Options ParseOptions(std::string_view text);

}  // namespace kata::agent
