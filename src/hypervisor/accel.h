// SPDX-License-Identifier: Apache-2.0
// The choice between kvm and tcg, with the host's files as arguments, so that tests can imitate any host.
#pragma once

#include <string>

#include "hypervisor/hypervisor.h"

namespace kata::hypervisor {

// The files that tell what the host can do.
struct AccelFacts {
  std::string kvm = "/dev/kvm";
  std::string cpuinfo = "/proc/cpuinfo";
#if defined(__x86_64__)
  bool needs_processor_flag = true;  // vmx or svm in cpuinfo; other architectures have no such flag
#else
  bool needs_processor_flag = false;
#endif
};

// Whether cpuinfo shows vmx or svm; true where no such flag exists.
bool HasHardwareVirtualization(const AccelFacts& facts);

// ChooseAccel (hypervisor.h) for a host with these files.
Result<AccelChoice> ChooseAccelFrom(const AccelFacts& facts, const std::string& setting);

}  // namespace kata::hypervisor
