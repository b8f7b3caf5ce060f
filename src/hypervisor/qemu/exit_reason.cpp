// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/qemu/exit_reason.h"

#include <algorithm>

namespace kata::hypervisor::qemu {
namespace {

constexpr size_t kConsoleLimit = 2048;

// The reason in the kernel's panic message, up to the end of the line.
std::string PanicMessage(std::string_view console) {
  const size_t start = console.find(kPanicMark);
  if (start == std::string_view::npos) return {};
  const std::string_view rest = console.substr(start + kPanicMark.size());
  return std::string(rest.substr(0, rest.find('\n')));
}

std::string Why(const ExitFacts& facts) {
  const std::string& reason = facts.shutdown_reason;
  const std::string panic = PanicMessage(facts.console);
  // With panic=-1 and -no-reboot QEMU sees a panic as a reset. The console, which the guest controls, is reliable
  // enough for a message.
  if (facts.guest_panicked || (reason == "guest-reset" && !panic.empty())) {
    return "the guest kernel panicked" + (panic.empty() ? "" : ": " + panic);
  }
  if (reason == "guest-reset") return "the guest restarted";
  if (reason == "host-signal") return "QEMU was told to end by a signal";
  std::string text = "QEMU " + facts.status.Describe();
  if (!facts.messages.empty()) return text + ": " + facts.messages;
  if (facts.status.signal != 0 || !reason.empty()) return text;
  return text + fmt::format(" without a word (path in [hypervisor.qemu] is {})", facts.program);
}

}  // namespace

VmExit DescribeExit(const ExitFacts& facts) {
  if (facts.status.signal == 0 && facts.status.code == 0 && facts.shutdown_reason == "guest-shutdown") {
    return VmExit{"the guest powered off", true};
  }
  VmExit result;
  result.reason = Why(facts);
  const std::string console = Indented(facts.console, kConsoleLimit);
  if (!console.empty()) result.reason += "; the guest's console ended with:" + console;
  return result;
}

std::string Indented(std::string_view text, size_t limit) {
  while (!text.empty() && text.back() == '\n') text.remove_suffix(1);
  if (text.size() > limit) {
    const size_t line = text.find('\n', text.size() - limit);
    text.remove_prefix(line == std::string_view::npos ? text.size() - limit : line + 1);
  }
  std::string result;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    result += fmt::format("\n  {}", text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return result;
}

}  // namespace kata::hypervisor::qemu
