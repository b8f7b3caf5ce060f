// SPDX-License-Identifier: Apache-2.0
// Why a VM ended, in words, from everything that is known after its end.
#pragma once

#include <string>
#include <string_view>

#include "base/child.h"
#include "hypervisor/hypervisor.h"

namespace kata::hypervisor::qemu {

// What a Linux kernel says on its console when it panics; the reason follows.
inline constexpr std::string_view kPanicMark = "Kernel panic - not syncing: ";

struct ExitFacts {
  ExitStatus status;            // QEMU's own
  std::string shutdown_reason;  // QMP's SHUTDOWN event, or empty
  bool guest_panicked = false;  // QMP's GUEST_PANICKED event, or the console while the guest was booting
  std::string console;          // the console's tail, printable
  std::string messages;         // QEMU's stderr, printable
  std::string program;          // its path, for the case that it says nothing
};

VmExit DescribeExit(const ExitFacts& facts);

// The last lines of text, at most limit bytes, each with two spaces in front, a newline before each; "" for no text.
std::string Indented(std::string_view text, size_t limit);

}  // namespace kata::hypervisor::qemu
