// SPDX-License-Identifier: Apache-2.0
// QEMU's command line, and its words on the guest kernel's: pure functions, the only place where either is made.
#pragma once

#include <string>
#include <vector>

#include "config/config.h"
#include "hypervisor/hypervisor.h"
#include "hypervisor/kernel_command_line.h"

namespace kata::hypervisor::qemu {

// Descriptors as QEMU numbers them, and what the host decided. QEMU opens nothing of the sandbox by a path of its own.
struct Inputs {
  Accel accel = Accel::kTcg;
  int qmp_fd = -1;         // connected stream socket
  int console_fd = -1;     // connected stream socket
  int kernel_fd = -1;      // the open kernel ...
  int initrd_fd = -1;      // ... and initrd, read by way of /proc/self/fd
  int agent_fd = -1;       // connected stream socket of the virtio-serial port; -1: vsock
  int vsock_fd = -1;       // /dev/vhost-vsock, used when agent_fd is -1
  uint32_t guest_cid = 0;  // with vsock_fd
  int shared_fs_fd = -1;   // connected vhost-user socket; -1: no shared file system
  struct Nic {
    std::vector<int> taps;
    std::vector<int> vhost;
  };
  std::vector<Nic> network;  // as VmSpec::network, in the same order
  std::string firmware;      // a file name that QEMU finds; empty: the VM's own
};

// The places for devices that come and go, on a bridge: how many there are, the bridge's name as QEMU's "bus", and a
// place's "addr" there, in hexadecimal.
uint32_t Places(const config::HypervisorConfig& config);
inline constexpr char kBridge[] = "bridge0";
std::string PlaceAddress(uint32_t place);
// The same as a path for the guest, "1d/02": the bridge's slot on the root bus, the place's on the bridge.
std::string PlacePath(uint32_t place);
// So many of them, from the first on, hold network cards from the start, so that these can be taken out.
uint32_t ColdPlugPlaces(const config::HypervisorConfig& config);
// QEMU's name for the device of a NetworkDevice; the id itself is its netdev's.
std::string NicId(const std::string& id);

// argv for the VMM. kInvalidArgument for what QEMU could not start with, in the words of the configuration's keys.
Result<std::vector<std::string>> Argv(const config::HypervisorConfig& config, const VmSpec& spec, const Inputs& inputs,
                                      const std::string& kernel_command_line);

// What the kernel of a guest of QEMU's is told beside what every guest is. tsc_khz is the frequency of the host's time
// stamp counter, or 0.
KernelWords QemuKernelWords(const config::Config& config, const VmSpec& spec, Accel accel, uint32_t tsc_khz);

}  // namespace kata::hypervisor::qemu
