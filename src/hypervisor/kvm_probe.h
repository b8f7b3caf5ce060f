// SPDX-License-Identifier: Apache-2.0
// Tells a KVM in which guests run from one that only opens, by running a tiny VM.
#pragma once

#include <chrono>
#include <string>

#include "base/result.h"

namespace kata::hypervisor {

// What a tiny VM has shown of the host.
struct KvmProbe {
  bool works = false;
  std::string why;                        // what the VM did not do; empty if it works
  std::chrono::nanoseconds exit_time{0};  // what one exit from the guest to the kernel took; 0 if it does not work
};

// Runs a VM of one page of code and one vCPU, a few milliseconds on ordinary hosts, in a child process. The guest takes
// an exception and runs an instruction that KVM does not emulate, so the processor itself must run it: a KVM that works
// by page tables or by emulation alone opens as well, but an ordinary kernel hangs in it. On other architectures than
// x86-64 the VM is made and not run. kvm: /dev/kvm, open for reading and writing; time: allowed for all of it.
// An error means that it cannot be told now: something else than KVM is short, or has /dev/kvm for itself.
Result<KvmProbe> ProbeKvm(int kvm, std::chrono::milliseconds time);

}  // namespace kata::hypervisor
