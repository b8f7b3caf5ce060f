// SPDX-License-Identifier: Apache-2.0
// What PID 1 owes to a guest: its mounts, its loopback, its limits; and how the guest ends.
#pragma once

namespace kata::agent {

// Mounts the kernel's file systems and tmpfs, opens the console, sets lo up. Whatever fails
// is logged, and the rest is done: what is really missing is said by the call that needs it.
void SetUpGuest();

// Writes everything back and powers the VM off; one without a power switch is reset, which ends it too.
[[noreturn]] void PowerOff();

}  // namespace kata::agent
