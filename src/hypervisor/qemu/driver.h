// SPDX-License-Identifier: Apache-2.0
// The Hypervisor for QEMU, which runs as an unprivileged child process and gets its resources as open descriptors.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "hypervisor/hypervisor.h"

namespace kata::hypervisor::qemu {

class Driver : public Hypervisor {
 public:
  Driver(const asio::any_io_executor& executor, const config::Config& config, AccelChoice accel);
  ~Driver() override;

  Capabilities Can() const override;

  asio::awaitable<Result<>> Start(VmSpec spec) override;
  asio::awaitable<Result<UniqueFd>> ConnectAgent() override;
  asio::awaitable<Result<>> AddNetworkDevice(NetworkDevice device) override;
  asio::awaitable<Result<>> RemoveNetworkDevice(std::string id) override;
  asio::awaitable<Result<GuestAddress>> AddBlockDevice(BlockDevice device) override;
  asio::awaitable<Result<>> RemoveBlockDevice(std::string id) override;
  asio::awaitable<Result<uint32_t>> SetVcpus(uint32_t count) override;
  asio::awaitable<Result<uint64_t>> SetMemory(uint64_t mib) override;
  asio::awaitable<VmExit> Wait() override;
  void Kill() override;
  void BootEnded() override;
  std::string ConsoleTail() const override;
  uint64_t ConsoleBytes() const override;
  std::optional<std::chrono::steady_clock::time_point> AgentBegan() const override;
  void ServeConsole(UniqueFd listener) override;
  std::vector<pid_t> Pids() const override;
  std::vector<pid_t> VcpuThreads() const override;

 private:
  struct State;  // shared with the coroutines below, which may run on after the Driver is destroyed
  static asio::awaitable<Result<>> StartVm(std::shared_ptr<State> state, VmSpec spec);
  static asio::awaitable<Result<UniqueFd>> ConnectTo(std::shared_ptr<State> state);
  static asio::awaitable<Result<>> AddNic(std::shared_ptr<State> state, NetworkDevice device);
  static asio::awaitable<Result<>> RemoveNic(std::shared_ptr<State> state, std::string id);
  static asio::awaitable<Result<GuestAddress>> AddDisk(std::shared_ptr<State> state, BlockDevice device);
  static asio::awaitable<Result<>> RemoveDisk(std::shared_ptr<State> state, std::string id);
  static asio::awaitable<Result<uint32_t>> ResizeVcpus(std::shared_ptr<State> state, uint32_t count);
  static asio::awaitable<Result<uint64_t>> ResizeMemory(std::shared_ptr<State> state, uint64_t mib);
  static asio::awaitable<VmExit> WaitFor(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

// For CreateHypervisor (hypervisor.h).
Result<std::unique_ptr<Hypervisor>> CreateDriver(const asio::any_io_executor& executor, const config::Config& config);

}  // namespace kata::hypervisor::qemu
