// SPDX-License-Identifier: Apache-2.0
// Resizes the running VM as containers come, change their limits, and go.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/coroutine.h"
#include "base/result.h"
#include "config/config.h"
#include "protocol/oci.pb.h"
#include "sandbox/size/sizing.h"
#include "sandbox/vm.h"

namespace kata::sandbox {

// The inputs of a VM's growth.
struct GrowthRules {
  config::HypervisorConfig hypervisor;
  Host host;
  bool fixed = true;            // the VM keeps its initial size
  Demand announced;             // what the manager says that all containers together will ask for
  std::function<void()> grown;  // called after vCPUs were added; may be empty
};

// Sizes a running VM by the sum of its containers' limits, never below its initial size. For each container the caller
// calls Admit, then Taken or Refused, and Forget at the container's end. Not thread-safe.
class Growth : public std::enable_shared_from_this<Growth> {
 public:
  Growth(std::shared_ptr<Vm> vm, GrowthRules rules);

  // Whether the VM could grow enough for these limits of a container; changes nothing. An update names only the limits
  // that change. kInvalidArgument: it could not; the message says why.
  Result<> Check(const std::string& container, const grpc::LinuxResources& resources) const;
  // Like Check, and grows the VM. The container's old limits count as well until Taken. The VM must be ready. Other
  // errors: the hypervisor's, such as kResourceExhausted, and the agent's.
  asio::awaitable<Result<>> Admit(std::string container, grpc::LinuxResources resources);
  // The guest has applied, or refused, the limits admitted last. The VM may then shrink, in the background.
  void Taken(const std::string& container);
  void Refused(const std::string& container);
  void Forget(const std::string& container);
  // The VM's present memory.
  uint64_t memory_mib() const { return now_ ? now_->memory_mib : vm_->size().memory_mib; }

 private:
  struct Limits {
    grpc::LinuxResources now;
    std::optional<grpc::LinuxResources> next;  // admitted, and not yet applied in the guest
  };

  Result<> CheckFixed(const grpc::LinuxResources& resources) const;
  Demand Sum() const;
  Result<VmSize> Target(const Demand& sum) const;
  asio::awaitable<Result<>> Grow();
  asio::awaitable<Result<>> GrowVcpus(uint32_t count);
  asio::awaitable<Result<>> GrowMemory(uint64_t mib);
  uint64_t NextMemory(uint64_t mib) const;
  void ShrinkAside();
  static asio::awaitable<void> Shrink(std::shared_ptr<Growth> self);

  std::shared_ptr<Vm> vm_;
  GrowthRules rules_;
  hypervisor::Capabilities can_;
  std::map<std::string, Limits> limits_;
  std::optional<VmSize> now_;  // none: still the initial size
  uint32_t pieces_ = 0;        // pieces of memory that were plugged; each takes a memory slot for good
  Lock lock_;                  // the hypervisor takes one call at a time
};

}  // namespace kata::sandbox
