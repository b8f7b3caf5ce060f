// SPDX-License-Identifier: Apache-2.0
// The choice of acceleration with the host's files as arguments, so that tests can stand for any host.
#pragma once

#include <string>

#include "hypervisor/hypervisor.h"

namespace kata::hypervisor {

// Where the facts are read.
struct AccelFacts {
  std::string kvm = "/dev/kvm";
  std::string cpuinfo = "/proc/cpuinfo";
#if defined(__x86_64__)
  bool needs_processor_flag = true;  // vmx or svm; other processors show no flag for it
#else
  bool needs_processor_flag = false;
#endif
};

// Whether the processor shows vmx or svm, or need not.
bool HasHardwareVirtualization(const AccelFacts& facts);

// ChooseAccel of hypervisor.h for these facts.
Result<AccelChoice> ChooseAccelFrom(const AccelFacts& facts, const std::string& setting);

}  // namespace kata::hypervisor
