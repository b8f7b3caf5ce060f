// SPDX-License-Identifier: Apache-2.0
// The VM's size while it runs: it follows the limits of its containers as they come, are changed, and go.
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

// The limits of a VM's growth, and where they come from.
struct GrowthRules {
  config::HypervisorConfig hypervisor;
  Host host;
  bool fixed = true;            // the VM keeps its initial size
  Demand announced;             // what the pod's manager says that all containers together will ask for
  std::function<void()> grown;  // called when there are new vCPUs; may be empty
};

// It never becomes smaller than it was at its start. Every container passes through Admit, then Taken or Refused, and
// at its end through Forget.
class Growth : public std::enable_shared_from_this<Growth> {
 public:
  Growth(std::shared_ptr<Vm> vm, GrowthRules rules);

  // Whether the VM can have room for a container with these limits (of an update: those that change).
  // kInvalidArgument: no, and why.
  Result<> Check(const std::string& container, const grpc::LinuxResources& resources) const;
  // The same, and makes the room; the limits that it had stay until they are replaced. The VM must be ready. Also
  // the hypervisor's errors, such as kResourceExhausted.
  asio::awaitable<Result<>> Admit(std::string container, grpc::LinuxResources resources);
  // The guest has the limits that were admitted last, or has refused them.
  void Taken(const std::string& container);
  void Refused(const std::string& container);
  void Forget(const std::string& container);

 private:
  struct Limits {
    grpc::LinuxResources now;
    std::optional<grpc::LinuxResources> next;  // admitted, and not yet the guest's
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
  std::optional<VmSize> now_;  // none: as it was at its start
  uint32_t pieces_ = 0;        // of memory that were plugged, each in one of the memory slots for good
  Lock lock_;                  // the hypervisor takes one call at a time
};

}  // namespace kata::sandbox
