// SPDX-License-Identifier: Apache-2.0
#include "sandbox/host/host_limits.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <tuple>

#include "base/cpu_list.h"
#include "base/cpu_weight.h"
#include "base/files.h"
#include "base/log.h"
#include "sandbox/host/cgroup.h"
#include "sandbox/systemd/scope.h"

namespace kata::sandbox {
namespace {

using Containers = std::vector<grpc::LinuxResources>;

// The sum of what `of` says, in any unit; none where it says nothing (0 or less) of one container.
template <typename Number>
std::optional<Number> Sum(const Containers& containers, const std::function<Number(const grpc::LinuxResources&)>& of) {
  Number sum = 0;
  for (const grpc::LinuxResources& resources : containers) {
    const Number one = of(resources);
    // No host has this much, and no sum of it is to overflow.
    if (one <= 0 || one > INT64_MAX / 4096) return std::nullopt;
    sum += one;
  }
  if (containers.empty()) return std::nullopt;
  return sum;
}

std::string Union(const Containers& containers, const std::function<const std::string&(const grpc::LinuxCPU&)>& of) {
  std::string all;
  for (const grpc::LinuxResources& resources : containers) {
    const std::string& list = of(resources.cpu());
    if (list.empty()) return "";
    all += (all.empty() ? "" : ",") + list;
  }
  return all;
}

// No list means those of the parent: version 2 takes an empty one for that, version 1 does not.
Result<> WriteLimit(const std::string& directory, const std::string& name, const std::string& value) {
  const std::string path = directory + "/" + name;
  if (!value.empty()) return WriteFile(path, value);
  if (access((path + ".effective").c_str(), F_OK) == 0) return WriteFile(path, "\n");
  const std::string parent = directory.substr(0, directory.rfind('/'));
  return WriteFile(path, TRY(ReadFile(parent + "/" + name)));
}

// "0-2,8" as a mask, the lowest bit of the first byte first.
std::vector<uint8_t> MaskOf(const std::string& list) {
  std::vector<uint8_t> mask;
  for (const uint32_t number : ParseCpuList(list).value_or(std::vector<uint32_t>())) {
    if (mask.size() <= number / 8) mask.resize(number / 8 + 1);
    mask[number / 8] |= static_cast<uint8_t>(1U << (number % 8));
  }
  return mask;
}

constexpr uint64_t kDefaultPeriod = 100000;

uint64_t PeriodOf(const grpc::LinuxCPU& cpu) { return cpu.period() > 0 ? cpu.period() : kDefaultPeriod; }

}  // namespace

HostLimits HostLimitsOf(const std::vector<grpc::LinuxResources>& containers, uint64_t vm_memory_mib) {
  HostLimits limits;
  if (Sum<int64_t>(containers, [](const auto& one) { return one.memory().limit(); })) {
    limits.memory = (vm_memory_mib + kVmOverheadMib) << 20U;
  }
  // The kernel rounds a quota of another period differently, so that of a single container stays as it is.
  limits.cpu_period = containers.size() == 1 ? PeriodOf(containers.front().cpu()) : kDefaultPeriod;
  limits.cpu_quota = Sum<int64_t>(containers, [&](const grpc::LinuxResources& one) {
    const auto scaled = static_cast<double>(one.cpu().quota()) * static_cast<double>(limits.cpu_period) /
                        static_cast<double>(PeriodOf(one.cpu()));
    return static_cast<int64_t>(scaled);
  });
  if (const auto shares =
          Sum<int64_t>(containers, [](const auto& one) { return static_cast<int64_t>(one.cpu().shares()); }))
    limits.cpu_shares = static_cast<uint64_t>(*shares);
  if (const auto tasks = Sum<int64_t>(containers, [](const auto& one) { return one.pids().limit(); }))
    limits.tasks = *tasks + kVmTasks;
  limits.cpus = Union(containers, &grpc::LinuxCPU::cpus);
  limits.mems = Union(containers, &grpc::LinuxCPU::mems);
  return limits;
}

std::vector<std::pair<std::string, std::string>> LimitFiles(const HostLimits& before, const HostLimits& after) {
  std::vector<std::pair<std::string, std::string>> files;
  const auto text = [](const auto& limit, const char* none) { return limit ? fmt::format("{}", *limit) : none; };
  if (before.memory != after.memory) {
    files.emplace_back("memory.max", text(after.memory, "max"));
    files.emplace_back("memory.limit_in_bytes", text(after.memory, "-1"));
  }
  if (before.cpu_quota != after.cpu_quota || before.cpu_period != after.cpu_period) {
    files.emplace_back("cpu.max", fmt::format("{} {}", text(after.cpu_quota, "max"), after.cpu_period));
    // No quota for a moment: an old one may be too large, or too small, for the new period.
    if (before.cpu_period != after.cpu_period) {
      files.emplace_back("cpu.cfs_quota_us", "-1");
      files.emplace_back("cpu.cfs_period_us", std::to_string(after.cpu_period));
    }
    files.emplace_back("cpu.cfs_quota_us", text(after.cpu_quota, "-1"));
  }
  if (before.cpu_shares != after.cpu_shares) {
    const uint64_t shares = after.cpu_shares.value_or(kDefaultCpuShares);
    files.emplace_back("cpu.weight", std::to_string(after.cpu_shares ? CpuWeightOf(shares) : kDefaultCpuWeight));
    files.emplace_back("cpu.shares", std::to_string(shares));
  }
  if (before.tasks != after.tasks) files.emplace_back("pids.max", text(after.tasks, "max"));
  if (before.cpus != after.cpus) files.emplace_back("cpuset.cpus", after.cpus);
  if (before.mems != after.mems) files.emplace_back("cpuset.mems", after.mems);
  return files;
}

std::vector<Property> LimitProperties(const HostLimits& before, const HostLimits& after, bool unified) {
  std::vector<Property> properties;
  const auto add = [&](const char* name, uint64_t value) { properties.push_back({name, "t", value}); };
  if (before.memory != after.memory) add(unified ? "MemoryMax" : "MemoryLimit", after.memory.value_or(UINT64_MAX));
  if (before.cpu_quota != after.cpu_quota || before.cpu_period != after.cpu_period) {
    uint64_t per_second = UINT64_MAX;
    if (after.cpu_quota) {
      const auto quota = static_cast<double>(*after.cpu_quota);
      // systemd counts in percent of a processor, and would round down.
      per_second = static_cast<uint64_t>(std::ceil(quota * 100 / static_cast<double>(after.cpu_period))) * 10000;
    }
    add("CPUQuotaPerSecUSec", per_second);
    add("CPUQuotaPeriodUSec", after.cpu_period);
  }
  if (before.cpu_shares != after.cpu_shares) {
    if (unified) add("CPUWeight", after.cpu_shares ? CpuWeightOf(*after.cpu_shares) : kDefaultCpuWeight);
    if (!unified) add("CPUShares", after.cpu_shares.value_or(kDefaultCpuShares));
  }
  if (before.tasks != after.tasks) add("TasksMax", after.tasks ? static_cast<uint64_t>(*after.tasks) : UINT64_MAX);
  if (unified && before.cpus != after.cpus) properties.push_back({"AllowedCPUs", "ay", MaskOf(after.cpus)});
  if (unified && before.mems != after.mems) properties.push_back({"AllowedMemoryNodes", "ay", MaskOf(after.mems)});
  return properties;
}

grpc::LinuxResources HostLimiter::Of(const std::string& container) const {
  const auto found = containers_.find(container);
  return found == containers_.end() ? grpc::LinuxResources() : found->second;
}

void HostLimiter::Update(const std::string& container, const grpc::LinuxResources& update) {
  grpc::LinuxResources& now = containers_[container];
  // 0 and the empty text mean "as before", in the runtime-spec's update as in protobuf's merge.
  if (update.has_memory()) now.mutable_memory()->MergeFrom(update.memory());
  if (update.has_cpu()) now.mutable_cpu()->MergeFrom(update.cpu());
  if (update.has_pids()) now.mutable_pids()->MergeFrom(update.pids());
}

Result<> HostLimiter::Apply(uint64_t vm_memory_mib) {
  if (cgroups_.empty() && unit_.empty()) return {};
  largest_vm_mib_ = std::max(largest_vm_mib_, vm_memory_mib);
  Containers all;
  for (const auto& [id, resources] : containers_) all.push_back(resources);
  HostLimits limits = HostLimitsOf(all, largest_vm_mib_);
  if (limits == now_) return {};
  auto written = mounts_.OnHost([&]() -> Result<> {
    auto done = Write(now_, limits);
    // Some may have been written.
    if (!done) std::ignore = Write(limits, now_);
    return done;
  });
  TRY(Context(std::move(written), "the limits of the container's cgroup on the host"));
  now_ = std::move(limits);
  return {};
}

Result<> HostLimiter::Write(const HostLimits& before, const HostLimits& after) const {
  // First, since systemd may write another period than the one that is asked for.
  if (!unit_.empty()) TRY(SetScopeProperties(unit_, id_, LimitProperties(before, after, HostIsUnified())));
  for (const auto& [name, value] : LimitFiles(before, after)) {
    bool known = false;
    for (const std::string& directory : cgroups_) {
      if (access(fmt::format("{}/{}", directory, name).c_str(), F_OK) != 0) continue;
      TRY(WriteLimit(directory, name, value));
      known = true;
    }
    if (!known && name.starts_with("cpuset.")) log::Warn("the container's cgroup on the host has no {}", name);
  }
  return {};
}

}  // namespace kata::sandbox
