// SPDX-License-Identifier: Apache-2.0
// What is learned from the lines of the guest's console: that its kernel panics during the boot, and when the agent
// began. In debug mode it also puts the lines into the log, up to a limit.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <string_view>
#include <utility>

namespace kata::hypervisor::qemu {

class ConsoleWatch {
 public:
  // on_panic is called once, in OnLine.
  explicit ConsoleWatch(std::function<void()> on_panic) : on_panic_(std::move(on_panic)) {}

  // To be called with each complete line.
  void OnLine(std::string_view line);
  // Later panics are not the boot's.
  void BootEnded() { booting_ = false; }

  // Whether the console has shown a kernel panic during the boot.
  bool panicked() const { return panicked_; }
  std::optional<std::chrono::steady_clock::time_point> agent_began() const { return agent_began_; }

 private:
  void Log(std::string_view line);

  const std::function<void()> on_panic_;
  std::optional<std::chrono::steady_clock::time_point> agent_began_;
  bool booting_ = true;
  bool panicked_ = false;
  size_t logged_ = 0;
};

}  // namespace kata::hypervisor::qemu
