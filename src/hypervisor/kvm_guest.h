// SPDX-License-Identifier: Apache-2.0
// The tiny guest of ProbeKvm (kvm_probe.h): its memory, its registers, and what it tells by its port.
#pragma once

#if defined(__x86_64__)

#include <sys/types.h>

#include <cstdint>

namespace kata::hypervisor::kvm_guest {

inline constexpr uint16_t kPort = 0xe9;
// The bytes that the guest writes to its port, in this order; kLap comes kLaps + 1 times, with kExits exits between two
// of them. At the end it halts.
inline constexpr uint8_t kBegan = 'b';
inline constexpr uint8_t kExcepted = 'e';  // from the handler of the exception
inline constexpr uint8_t kResumed = 'r';   // where the exception was
inline constexpr uint8_t kComputed = 'c';  // after an instruction that KVM does not emulate
inline constexpr uint8_t kLap = 'l';
inline constexpr int kLaps = 3;
inline constexpr int kExits = 100;

inline constexpr size_t kMemory = size_t{8} * 4096;

// Writes page tables, descriptor tables and code into zeroed memory of kMemory bytes, which the guest has at address 0.
void Load(uint8_t* memory);
// Sets the registers of a new vCPU so that it begins with the code, in 64-bit mode. Returns 0, or the errno.
int SetRegisters(int vcpu);

}  // namespace kata::hypervisor::kvm_guest

#endif
