// SPDX-License-Identifier: Apache-2.0
// QEMU's command line, and QEMU's words on the guest kernel's command line. Pure functions; no other code builds these.
#pragma once

#include <string>
#include <vector>

#include "config/config.h"
#include "hypervisor/hypervisor.h"
#include "hypervisor/kernel_command_line.h"

namespace kata::hypervisor::qemu {

// Descriptors, by their numbers in QEMU, and properties of the host. QEMU opens no path of the sandbox by itself.
struct Inputs {
  Accel accel = Accel::kTcg;
  int qmp_fd = -1;         // connected stream socket
  int console_fd = -1;     // connected stream socket
  int kernel_fd = -1;      // the open kernel, which QEMU reads through /proc/self/fd
  int initrd_fd = -1;      // the open initrd, likewise
  int agent_fd = -1;       // connected stream socket for the virtio-serial port; -1: vsock is used
  int vsock_fd = -1;       // /dev/vhost-vsock, used if agent_fd is -1
  uint32_t guest_cid = 0;  // with vsock_fd
  int shared_fs_fd = -1;   // connected vhost-user socket; -1: no shared file system
  struct Nic {
    std::vector<int> taps;
    std::vector<int> vhost;
  };
  std::vector<Nic> network;  // in the order of VmSpec::network
  std::string firmware;      // a file name that QEMU finds; empty: QEMU's default
};

// Places are the slots of a PCI bridge for hot-plugged devices. Places: how many there are, 0 without the bridge.
// kBridge: QEMU's "bus" of these devices. PlaceAddress: QEMU's "addr" of a place, in hexadecimal.
uint32_t Places(const config::HypervisorConfig& config);
inline constexpr char kBridge[] = "bridge0";
std::string PlaceAddress(uint32_t place);
// The guest's PCI path of a place, "1d/02": the bridge's slot on the root bus, then the place's slot on the bridge.
std::string PlacePath(uint32_t place);
// How many places, from the first on, are used for network cards that are present at boot, so that they can be
// unplugged later.
uint32_t ColdPlugPlaces(const config::HypervisorConfig& config);
// QEMU's id for the device of a NetworkDevice. The netdev has the id of the NetworkDevice itself.
std::string NicId(const std::string& id);

// The VMM's argv. kInvalidArgument: QEMU could not start with this configuration; the message names its keys.
Result<std::vector<std::string>> Argv(const config::HypervisorConfig& config, const VmSpec& spec, const Inputs& inputs,
                                      const std::string& kernel_command_line);

// The kernel words that QEMU's guests need. tsc_khz: the frequency of the host's time stamp counter; 0: unknown.
KernelWords QemuKernelWords(const config::Config& config, const VmSpec& spec, const AccelChoice& choice,
                            uint32_t tsc_khz);

}  // namespace kata::hypervisor::qemu
