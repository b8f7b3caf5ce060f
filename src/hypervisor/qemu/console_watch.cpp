// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/qemu/console_watch.h"

#include "base/log.h"
#include "hypervisor/qemu/exit_reason.h"
#include "protocol/guest_contract.h"

namespace kata::hypervisor::qemu {
namespace {

// The most bytes that are logged: the log file has no other limit.
constexpr size_t kMostLogged = 1U << 20U;

}  // namespace

void ConsoleWatch::OnLine(std::string_view line) {
  Log(line);
  if (!agent_began_ && line.find(contract::kAgentBegins) != std::string_view::npos)
    agent_began_ = std::chrono::steady_clock::now();
  if (!booting_ || panicked_ || line.find(kPanicMark) == std::string_view::npos) return;
  panicked_ = true;
  on_panic_();
}

void ConsoleWatch::Log(std::string_view line) {
  if (logged_ > kMostLogged) return;
  logged_ += line.size() + 1;
  log::Debug("console: {}", line);
  if (logged_ > kMostLogged) log::Debug("console: more of it is not logged");
}

}  // namespace kata::hypervisor::qemu
