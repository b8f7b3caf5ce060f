// SPDX-License-Identifier: Apache-2.0
// The limits of a sandbox's cgroup on the host. The guest enforces the containers' limits, and a hostile guest does
// not; the host's keep it from using more all the same, and engines see them. They are as the containers' together,
// with room for what a VM needs beside its containers.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "protocol/oci.pb.h"
#include "sandbox/host/mount_namespace.h"
#include "sandbox/systemd/property.h"

namespace kata::sandbox {

// Memory that a VM uses beside that of its guest: the VMM's and the file server's own, with the code that tcg generates
// (tb-size), and the host's cache of the files that they read.
inline constexpr uint64_t kVmOverheadMib = 512;
// Processes and threads on the host beside those that a limit counts in the guest: the VMM has up to 64 for the IO of
// disks alone.
inline constexpr int64_t kVmTasks = 256;

// Absent: no limit.
struct HostLimits {
  std::optional<uint64_t> memory;    // bytes
  std::optional<int64_t> cpu_quota;  // microseconds in each period
  uint64_t cpu_period = 100000;      // microseconds
  std::optional<uint64_t> cpu_shares;
  std::optional<int64_t> tasks;
  std::string cpus;  // list of processors; empty: all
  std::string mems;  // list of memory nodes; empty: all

  bool operator==(const HostLimits&) const = default;
};

// The limits of the cgroup for all of these containers. There is one where each container has one: the sum, and for
// processors and nodes all of theirs. For memory it is the VM's size, in MiB, which can be used in full whatever the
// containers' limits are, and kVmOverheadMib. The real-time budget is left to the guest.
HostLimits HostLimitsOf(const std::vector<grpc::LinuxResources>& containers, uint64_t vm_memory_mib);

// The files of cgroupfs, of version 1 and 2, and what to write into them in this order, to get from some limits to
// others. Of both versions, since a name of one means nothing in the other.
std::vector<std::pair<std::string, std::string>> LimitFiles(const HostLimits& before, const HostLimits& after);

// The same for a scope of systemd (systemd.resource-control(5)). unified: whether the host has cgroup version 2 alone;
// with version 1 systemd has no list of processors or nodes.
std::vector<Property> LimitProperties(const HostLimits& before, const HostLimits& after, bool unified);

// Sets the limits of one sandbox. Not thread-safe.
class HostLimiter {
 public:
  HostLimiter() = default;
  // cgroups: the directories of the sandbox's cgroup that it has made. Those of somebody else get no limit. unit: the
  // scope to which they belong; systemd is asked then. id: the sandbox's.
  HostLimiter(MountNamespaces mounts, std::vector<std::string> cgroups, std::string unit, std::string id)
      : mounts_(std::move(mounts)), cgroups_(std::move(cgroups)), unit_(std::move(unit)), id_(std::move(id)) {}

  // The sandbox is in other cgroups now, which have no limits yet: as for the constructor. Apply sets them there.
  void Move(std::vector<std::string> cgroups, std::string unit, std::string id) {
    cgroups_ = std::move(cgroups);
    unit_ = std::move(unit);
    id_ = std::move(id);
    now_ = {};
  }
  // Notes a container's limits; those that an update does not name stay.
  void Set(const std::string& container, const grpc::LinuxResources& resources) { containers_[container] = resources; }
  grpc::LinuxResources Of(const std::string& container) const;
  void Update(const std::string& container, const grpc::LinuxResources& update);
  void Forget(const std::string& container) { containers_.erase(container); }

  // Sets the limits on the host. vm_memory_mib: the VM's present size; the limit of memory never falls, because a VM
  // that has become smaller may not have returned its memory yet. What the host's cgroups cannot limit is left out,
  // other than processors and nodes. Errors: those of writing, such as a processor that the host does not have; nothing
  // has changed then.
  Result<> Apply(uint64_t vm_memory_mib);

 private:
  Result<> Write(const HostLimits& before, const HostLimits& after) const;

  MountNamespaces mounts_;
  std::vector<std::string> cgroups_;
  std::string unit_;
  std::string id_;
  std::map<std::string, grpc::LinuxResources> containers_;
  HostLimits now_;
  uint64_t largest_vm_mib_ = 0;
};

}  // namespace kata::sandbox
