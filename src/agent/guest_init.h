// SPDX-License-Identifier: Apache-2.0
// The duties of PID 1: setting the guest up at boot, and powering it off.
#pragma once

namespace kata::agent {

// Mounts the kernel's file systems and tmpfs, opens the console as stdout and stderr, sets resource limits and the host
// name, and sets lo up. A step that fails is logged and skipped; a later call that needs its result reports the error.
void SetUpGuest();

// Syncs the file systems and powers the VM off. A VM without ACPI or a device tree is reset instead, which ends a QEMU
// that was started with -no-reboot.
[[noreturn]] void PowerOff();

}  // namespace kata::agent
