// SPDX-License-Identifier: Apache-2.0
// Changes the vCPUs and the memory of a running VM.
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

// QEMU's id of the virtio-mem device, which is on the command line if memory is to be plugged with virtio-mem.
inline constexpr char kVirtioMem[] = "vmem";
// The size of a memory block on x86: the granularity of DIMMs.
inline constexpr uint64_t kMemoryBlockMib = 128;
// The granularity of virtio-mem that is used here: a multiple of the guest's huge page.
inline constexpr uint64_t kVirtioMemBlockMib = 4;

// Whether QEMU's command line reserves room for more vCPUs or memory. Resizer uses the same condition.
bool CanAddVcpus(const VmSpec& spec);
bool CanAddMemory(const VmSpec& spec);
// QEMU's maxmem: the initial memory plus whole blocks up to max_memory_mib, rounded up. Needs CanAddMemory.
uint64_t MaxMemoryMib(const VmSpec& spec);

// Resizes one VM. settings must outlive this object, and this object its calls. One call of each function at a time.
class Resizer {
 public:
  // time: how long the guest may take to release a vCPU or memory. unplugs_vcpus: whether vCPUs can be unplugged.
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
  uint64_t plugged_mib_ = 0;  // memory plugged as DIMMs
  uint32_t dimms_ = 0;
};

}  // namespace kata::hypervisor::qemu
