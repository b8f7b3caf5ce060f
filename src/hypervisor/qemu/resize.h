// SPDX-License-Identifier: Apache-2.0
// A running VM with more or fewer processors, and more or less memory.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "config/config.h"
#include "hypervisor/hypervisor.h"
#include "hypervisor/qemu/qmp.h"

namespace kata::hypervisor::qemu {

// QEMU's name of the virtio-mem device, which is on the command line when the memory can grow by it.
inline constexpr char kVirtioMem[] = "vmem";
// x86's blocks of memory: less cannot be plugged as a DIMM.
inline constexpr uint64_t kMemoryBlockMib = 128;
// virtio-mem's: a huge page of the guest's in each.
inline constexpr uint64_t kVirtioMemBlockMib = 4;

// Whether the VM's line has room to grow; the answers of Resizer follow it.
bool CanAddVcpus(const VmSpec& spec);
bool CanAddMemory(const VmSpec& spec);
// What maxmem is: the largest size in whole blocks, beginning from the one at the start.
uint64_t MaxMemoryMib(const VmSpec& spec);

// settings must outlive it, and it its calls, of which there is one of each kind at a time.
class Resizer {
 public:
  // time: how long the guest may take to give something back. unplugs_vcpus: QEMU can take processors out again.
  Resizer(std::shared_ptr<Qmp> qmp, const config::HypervisorConfig& settings, const VmSpec& spec,
          std::chrono::milliseconds time, bool unplugs_vcpus);

  // As Hypervisor::SetVcpus and SetMemory.
  asio::awaitable<Result<uint32_t>> SetVcpus(uint32_t count);
  asio::awaitable<Result<uint64_t>> SetMemory(uint64_t mib);

 private:
  asio::awaitable<Result<nlohmann::json>> Execute(const char* command, nlohmann::json arguments);
  asio::awaitable<Result<uint64_t>> PlugDimm(uint64_t mib);
  asio::awaitable<Result<uint64_t>> SetVirtioMem(uint64_t mib);
  asio::awaitable<Result<uint64_t>> VirtioMemSize();

  std::shared_ptr<Qmp> qmp_;
  const config::HypervisorConfig& settings_;
  std::chrono::milliseconds time_;
  bool unplugs_vcpus_;
  uint32_t max_vcpus_;
  uint64_t base_mib_;
  uint64_t max_mib_;
  uint64_t plugged_mib_ = 0;  // as DIMMs
  uint32_t dimms_ = 0;
};

}  // namespace kata::hypervisor::qemu
