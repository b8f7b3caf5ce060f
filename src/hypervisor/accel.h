// SPDX-License-Identifier: Apache-2.0
// The choice between kvm and tcg, with what tells of the host as arguments, so that tests can imitate any host.
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "hypervisor/hypervisor.h"
#include "hypervisor/kvm_probe.h"

namespace kata::hypervisor {

// What tells what the host can do.
struct AccelFacts {
  std::string kvm = "/dev/kvm";
  std::string cpuinfo = "/proc/cpuinfo";
#if defined(__x86_64__)
  bool needs_processor_flag = true;  // vmx or svm in cpuinfo; other architectures have no such flag
#else
  bool needs_processor_flag = false;
#endif
  std::function<Result<KvmProbe>(int kvm)> probe;  // whether a VM runs
};

// The facts of this host. The probe runs a VM once after each boot (kept_probe.h); timeout_factor is the
// configuration's.
AccelFacts HostAccelFacts(double timeout_factor);

// Whether cpuinfo shows vmx or svm; true where no such flag exists. Says why a probe has failed, no more: a host may
// show a flag and not run VMs.
bool HasHardwareVirtualization(const AccelFacts& facts);

// ChooseAccel (hypervisor.h) for a host with these facts.
Result<AccelChoice> ChooseAccelFrom(const AccelFacts& facts, const std::string& setting);

}  // namespace kata::hypervisor
