// SPDX-License-Identifier: Apache-2.0
// Describes why a VM ended, from all facts that are known after its end.
#pragma once

#include <string>
#include <string_view>

#include "base/child.h"
#include "hypervisor/hypervisor.h"

namespace kata::hypervisor::qemu {

// The start of a Linux kernel's panic message on the console; the reason follows.
inline constexpr std::string_view kPanicMark = "Kernel panic - not syncing: ";

struct ExitFacts {
  ExitStatus status;            // of QEMU
  std::string shutdown_reason;  // the reason of QMP's SHUTDOWN event; empty: there was none
  bool guest_panicked = false;  // QMP's GUEST_PANICKED event, or a panic message on the console during the boot
  std::string console;          // the console's tail, printable
  std::string messages;         // QEMU's stderr, printable
  std::string program;          // QEMU's path, shown if QEMU printed no message
};

VmExit DescribeExit(const ExitFacts& facts);

// The last lines of text, at most limit bytes of it. Each line is preceded by a newline and two spaces.
std::string Indented(std::string_view text, size_t limit);

}  // namespace kata::hypervisor::qemu
