// SPDX-License-Identifier: Apache-2.0
#include "sandbox/size/growth.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <cmath>
#include <utility>

#include "base/log.h"

namespace kata::sandbox {
namespace {

// The guest keeps a descriptor of each page, also of plugged memory, in memory that it has already. The descriptors
// take 1/64 of the plugged size. So one step can only add a limited multiple of the present size.
constexpr uint64_t kLargestStep = 48;

int64_t Milliseconds(std::chrono::steady_clock::time_point began) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - began).count();
}

void WarnOfKept(const Error& error) {
  // kUnavailable: the VM is ending, and gives everything back anyway.
  if (error.code() != Code::kUnavailable) log::Warn("the VM stays as large as it is: {}", error.message());
}

}  // namespace

Growth::Growth(std::shared_ptr<Vm> vm, GrowthRules rules)
    : vm_(std::move(vm)), rules_(std::move(rules)), can_(vm_->hypervisor().Can()), lock_(vm_->executor()) {}

Result<> Growth::CheckFixed(const grpc::LinuxResources& resources) const {
  const uint64_t has = vm_->size().memory_mib;
  const uint64_t wanted = DemandOf(resources).memory_mib;
  if (wanted <= has) return {};
  return Fail(Code::kInvalidArgument,
              "memory.limit: {} MiB are more than the {} MiB of the container's virtual machine, which cannot grow: "
              "raise default_memory, or set static_sandbox_resource_mgmt = false{}",
              wanted, has, can_.fixed_why.empty() ? "" : " and " + can_.fixed_why);
}

Result<> Growth::Check(const std::string& container, const grpc::LinuxResources& resources) const {
  if (rules_.fixed) return CheckFixed(resources);
  Demand sum = Sum();
  const auto found = limits_.find(container);
  if (found == limits_.end()) {
    sum = sum + DemandOf(resources);
  } else {
    const Demand before = DemandOf(found->second.now);
    const Demand after = DemandOf(Updated(found->second.now, resources));
    if (after.memory_mib > before.memory_mib) sum.memory_mib += after.memory_mib - before.memory_mib;
  }
  TRY(SizeVm(rules_.hypervisor, sum, rules_.host));
  return {};
}

asio::awaitable<Result<>> Growth::Admit(std::string container, grpc::LinuxResources resources) {
  auto self = shared_from_this();
  if (rules_.fixed) co_return CheckFixed(resources);
  Limits& limits = limits_[container];
  limits.next = Updated(limits.now, resources);
  auto grown = co_await Grow();
  if (!grown) Refused(container);
  co_return grown;
}

void Growth::Taken(const std::string& container) {
  const auto found = limits_.find(container);
  if (found == limits_.end() || !found->second.next) return;
  found->second.now = *std::exchange(found->second.next, std::nullopt);
  ShrinkAside();
}

void Growth::Refused(const std::string& container) {
  const auto found = limits_.find(container);
  if (found == limits_.end()) return;
  found->second.next.reset();
  ShrinkAside();
}

void Growth::Forget(const std::string& container) {
  if (limits_.erase(container) > 0) ShrinkAside();
}

Demand Growth::Sum() const {
  Demand sum;
  for (const auto& [id, limits] : limits_) {
    const Demand now = DemandOf(limits.now);
    sum = sum + (limits.next ? Larger(now, DemandOf(*limits.next)) : now);
  }
  return sum;
}

Result<VmSize> Growth::Target(const Demand& sum) const {
  const VmSize& start = vm_->size();
  VmSize target = TRY(SizeVm(rules_.hypervisor, sum, rules_.host));
  // Plugging takes time, and each piece of memory takes a slot for good. So the first growth also brings what the
  // manager has announced for the other containers. Memory that can be returned is plugged only as needed.
  const auto all = SizeVm(rules_.hypervisor, rules_.announced, rules_.host);
  if (all && target.vcpus > start.vcpus) target.vcpus = std::max(target.vcpus, all->vcpus);
  if (all && target.memory_mib > start.memory_mib && !can_.returns_memory) {
    target.memory_mib = std::max(target.memory_mib, all->memory_mib);
  }
  target.vcpus = std::max(target.vcpus, start.vcpus);
  target.memory_mib = std::max(target.memory_mib, start.memory_mib);
  return target;
}

asio::awaitable<Result<>> Growth::Grow() {
  const auto guard = co_await lock_.Acquire();
  const auto began = std::chrono::steady_clock::now();
  if (!now_) now_ = vm_->size();
  const VmSize before = *now_;
  Result<> grown;
  const auto target = Target(Sum());
  if (!target) grown = tl::unexpected<Error>(target.error());
  if (grown && target->vcpus > now_->vcpus) grown = co_await GrowVcpus(target->vcpus);
  if (grown && target->memory_mib > now_->memory_mib) grown = co_await GrowMemory(target->memory_mib);
  if (*now_ != before) {
    log::Info("the VM has grown from {} vCPUs and {} MiB to {} vCPUs and {} MiB in {} ms", before.vcpus,
              before.memory_mib, now_->vcpus, now_->memory_mib, Milliseconds(began));
  }
  co_return grown;
}

asio::awaitable<Result<>> Growth::GrowVcpus(uint32_t count) {
  CO_TRY_ASSIGN(const uint32_t vcpus, co_await vm_->hypervisor().SetVcpus(count));
  const uint32_t plugged = vcpus - std::min(vcpus, std::exchange(now_->vcpus, vcpus));
  if (rules_.grown) rules_.grown();
  auto online = co_await vm_->agent()->OnlineCpuMem(plugged);
  co_return Context(std::move(online), "the guest does not take {} new vCPUs into use", plugged);
}

// Returns the VM's size after the next piece of memory, when `mib` are needed. The slots that are left must lead to the
// largest VM, however small the steps are. The first half of the slots brings only what is needed, so that a pod of few
// containers gets no more. Each slot of the second half multiplies the plugged memory by the same factor. Unused memory
// costs the host nothing, and the guest 1/64 for its page descriptors.
uint64_t Growth::NextMemory(uint64_t mib) const {
  const config::HypervisorConfig& config = rules_.hypervisor;
  if (can_.returns_memory || can_.takes_memory_ahead) return mib;
  if (pieces_ < can_.memory_slots / 2 || pieces_ >= can_.memory_slots) return mib;
  const uint64_t start = vm_->size().memory_mib;
  const uint64_t largest = LargestVm(config, rules_.host).memory_mib;
  const uint32_t left = can_.memory_slots - pieces_;
  if (left == 1) return largest;
  const auto plugged = static_cast<double>(now_->memory_mib - start);
  const double times = std::pow(static_cast<double>(largest - start) / plugged, 1.0 / left);
  return std::clamp(start + static_cast<uint64_t>(std::ceil(plugged * times)), mib, largest);
}

asio::awaitable<Result<>> Growth::GrowMemory(uint64_t mib) {
  while (now_->memory_mib < mib) {
    const uint64_t step = std::min(NextMemory(mib), now_->memory_mib + now_->memory_mib * kLargestStep);
    CO_TRY_ASSIGN(const uint64_t has, co_await vm_->hypervisor().SetMemory(step));
    ++pieces_;
    // Of memory that can be returned, the guest may have taken less than it was offered.
    if (has <= now_->memory_mib || (has < step && can_.returns_memory)) {
      now_->memory_mib = has;
      co_return Fail(Code::kResourceExhausted, "the guest has taken {} MiB of memory where it was offered {}", has,
                     step);
    }
    now_->memory_mib = has;
    CO_TRY(Context(co_await vm_->agent()->OnlineCpuMem(0), "the guest does not take new memory into use"));
  }
  co_return Result<>();
}

// Runs in the background: the guest may take its time to give something back, or may not be able to.
void Growth::ShrinkAside() {
  if (!rules_.fixed && now_) asio::co_spawn(vm_->executor(), Shrink(shared_from_this()), asio::detached);
}

asio::awaitable<void> Growth::Shrink(std::shared_ptr<Growth> self) {
  const auto guard = co_await self->lock_.Acquire();
  VmSize& now = *self->now_;
  hypervisor::Hypervisor& vm = self->vm_->hypervisor();
  const auto target = self->Target(self->Sum());
  if (target && target->vcpus < now.vcpus) {
    const auto vcpus = co_await vm.SetVcpus(target->vcpus);
    if (vcpus) now.vcpus = *vcpus;
    if (!vcpus) WarnOfKept(vcpus.error());
  }
  if (target && target->memory_mib < now.memory_mib && self->can_.returns_memory) {
    const auto memory = co_await vm.SetMemory(target->memory_mib);
    if (memory) now.memory_mib = *memory;
    if (!memory) WarnOfKept(memory.error());
  }
}

}  // namespace kata::sandbox
