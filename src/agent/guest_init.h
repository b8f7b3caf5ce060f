// SPDX-License-Identifier: Apache-2.0
// What PID 1 owes to a guest: its mounts, its loopback, its limits; and how the guest ends.
#pragma once

#include <string>

#include "base/result.h"

namespace kata::agent {

// Mounts the kernel's file systems and tmpfs, opens the console, enables the cgroup controllers for children. Whatever
// fails is logged, and the rest is done: what is really missing is said by the call that needs it.
void SetUpGuest();

// Turns the controllers of the cgroup2 at mount on for what is below it.
Result<> EnableControllers(const std::string& mount);

// Writes everything back and powers the machine off; one without a power switch is reset, which ends it too.
[[noreturn]] void PowerOff();

}  // namespace kata::agent
