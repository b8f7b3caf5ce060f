// SPDX-License-Identifier: Apache-2.0
// For tests: a hypervisor whose VM is a fake agent.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/coroutine.h"
#include "hypervisor/hypervisor.h"
#include "sandbox/testing/fake_agent.h"

namespace kata::sandbox::testing {

// The state that the test sets and reads.
struct FakeVm {
  explicit FakeVm(const asio::any_io_executor& executor) : exited(executor) {}
  Event exited;
  std::string exit_reason = "was told to";
  bool killed = false;
  bool boot_ended = false;
  Result<> start_result;
  hypervisor::VmSpec spec;
  std::function<UniqueFd()> connect;  // the agent's channel
  std::vector<std::string> plugged;   // "ID MAC" of network cards, "ID ro" or "ID rw" of disks
  std::vector<std::string> unplugged;
  std::vector<std::string> sizes;  // "vcpus 3", "memory 512": what was asked for
  Result<> resize_result;
  hypervisor::Capabilities can{.grows = true, .memory_slots = 10};
  std::optional<uint32_t> memory_slots;  // those left; none: unlimited
  Result<> disk_result;                  // of plugging and unplugging

  // The VMM dies.
  void Die(std::string reason) {
    exit_reason = std::move(reason);
    exited.Happen();
  }
};

class FakeHypervisor : public hypervisor::Hypervisor {
 public:
  explicit FakeHypervisor(std::shared_ptr<FakeVm> vm) : fake_vm_(std::move(vm)) {}

  hypervisor::Capabilities Can() const override { return fake_vm_->can; }
  asio::awaitable<Result<>> Start(hypervisor::VmSpec spec) override {
    fake_vm_->spec = std::move(spec);
    co_return fake_vm_->start_result;
  }
  asio::awaitable<Result<UniqueFd>> ConnectAgent() override { co_return fake_vm_->connect(); }
  asio::awaitable<Result<>> AddNetworkDevice(hypervisor::NetworkDevice device) override {
    fake_vm_->plugged.push_back(device.id + " " + device.mac);
    co_return Result<>();
  }
  asio::awaitable<Result<>> RemoveNetworkDevice(std::string id) override {
    fake_vm_->unplugged.push_back(std::move(id));
    co_return Result<>();
  }
  asio::awaitable<Result<hypervisor::GuestAddress>> AddBlockDevice(hypervisor::BlockDevice device) override {
    CO_TRY(fake_vm_->disk_result);
    fake_vm_->plugged.push_back(device.id + (device.read_only ? " ro" : " rw"));
    co_return hypervisor::GuestAddress{.driver = "blk", .address = "1d/0" + std::to_string(fake_vm_->plugged.size())};
  }
  asio::awaitable<Result<>> RemoveBlockDevice(std::string id) override {
    CO_TRY(fake_vm_->disk_result);
    fake_vm_->unplugged.push_back(std::move(id));
    co_return Result<>();
  }
  asio::awaitable<Result<uint32_t>> SetVcpus(uint32_t count) override {
    fake_vm_->sizes.push_back("vcpus " + std::to_string(count));
    CO_TRY(fake_vm_->resize_result);
    co_return count;
  }
  asio::awaitable<Result<uint64_t>> SetMemory(uint64_t mib) override {
    fake_vm_->sizes.push_back("memory " + std::to_string(mib));
    CO_TRY(fake_vm_->resize_result);
    if (fake_vm_->memory_slots && (*fake_vm_->memory_slots)-- == 0) {
      fake_vm_->memory_slots = 0;
      co_return Fail(Code::kResourceExhausted, "all slots are used");
    }
    co_return mib;
  }
  asio::awaitable<hypervisor::VmExit> Wait() override {
    auto vm = fake_vm_;
    co_await vm->exited.Wait();
    co_return hypervisor::VmExit{.reason = vm->exit_reason};
  }
  void Kill() override {
    fake_vm_->killed = true;
    fake_vm_->exited.Happen();
  }
  void BootEnded() override { fake_vm_->boot_ended = true; }
  std::string ConsoleTail() const override { return "last words of the guest"; }
  uint64_t ConsoleBytes() const override { return 0; }
  std::optional<std::chrono::steady_clock::time_point> AgentBegan() const override { return std::nullopt; }
  void ServeConsole(UniqueFd) override {}
  std::vector<pid_t> Pids() const override { return {}; }
  std::vector<pid_t> VcpuThreads() const override { return {}; }

 private:
  std::shared_ptr<FakeVm> fake_vm_;
};

}  // namespace kata::sandbox::testing
