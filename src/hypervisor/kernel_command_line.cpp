// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/kernel_command_line.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "protocol/guest_contract.h"

namespace kata::hypervisor {
namespace {

// COMMAND_LINE_SIZE of x86 is 2048, including the terminating zero.
constexpr size_t kMaxCommandLine = 2047;

}  // namespace

Result<std::string> KernelCommandLine(const config::Config& config, const VmSpec& spec, const KernelWords& own) {
  std::vector<std::string> words;
  // "quiet" goes first, because an early console prints as soon as the kernel has parsed the word that names it.
  if (!config.hypervisor.enable_debug && !config.agent.enable_debug) words.emplace_back("quiet");
  words.insert(words.end(), own.consoles.begin(), own.consoles.end());
  // panic=-1: a panic reboots at once, and a reboot ends the VM. rcu_expedited: changes of mounts and namespaces wait
  // for RCU grace periods. noreplace-smp: patching out lock prefixes takes longer than it saves. nomodule: everything
  // that the guest needs is built in. The others: drivers make no interfaces and disks by themselves, at boot or in a
  // new network namespace (dummy0, tunl0 and the like), also those that only a user's fragment builds in.
  for (const char* word : {"panic=-1", "cgroup_no_v1=all", "random.trust_cpu=on", "rcupdate.rcu_expedited=1",
                           "noreplace-smp", "nomodule", "fb_tunnels=none", "bonding.max_bonds=0", "dummy.numdummies=0",
                           "ifb.numifbs=0", "nbd.nbds_max=0", "zram.num_devices=0"}) {
    words.emplace_back(word);
  }
  words.insert(words.end(), own.others.begin(), own.others.end());
  // The agent's default is for guests with hardware virtualization on a host of normal speed.
  const double hotplug_time = contract::kHotplugTimeout * own.timeout_scale * config.runtime.timeout_factor;
  if (hotplug_time > contract::kHotplugTimeout) {
    words.push_back(fmt::format("{}={}", contract::kHotplugTimeoutWord, std::ceil(hotplug_time)));
  }
  words.push_back(
      fmt::format("{}={}", contract::kLogWord, config.agent.enable_debug ? "debug" : config.agent.log_level));
  if (config.agent.container_pipe_size > 0) {
    words.push_back(fmt::format("{}={}", contract::kPipeSizeWord, config.agent.container_pipe_size));
  }
  if (!config.hypervisor.kernel_params.empty()) words.push_back(config.hypervisor.kernel_params);
  words.insert(words.end(), spec.kernel_parameters.begin(), spec.kernel_parameters.end());

  std::string line = fmt::format("{}", fmt::join(words, " "));
  if (line.size() > kMaxCommandLine) {
    return Fail(Code::kInvalidArgument,
                "the guest kernel's command line has {} bytes, at most {} are read: shorten kernel_params", line.size(),
                kMaxCommandLine);
  }
  if (std::any_of(line.begin(), line.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; })) {
    return Fail(Code::kInvalidArgument, "the guest kernel's parameters contain a control character");
  }
  return line;
}

}  // namespace kata::hypervisor
