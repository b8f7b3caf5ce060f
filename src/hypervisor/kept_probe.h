// SPDX-License-Identifier: Apache-2.0
// Keeps what a tiny VM has shown of the host's KVM until the next boot, so that only the first sandbox runs one.
#pragma once

#include <functional>
#include <string>

#include "base/result.h"
#include "hypervisor/kvm_probe.h"

namespace kata::hypervisor {

inline constexpr char kKeptProbe[] = "/run/kata-containers/kvm.json";

// The answer in file, if it was given on this boot for the device kvm (a descriptor), else that of probe. An answer,
// not an error, is kept in the file. File and directory are made with modes 0600 and 0700; where that is not possible,
// or others could write to the directory, nothing is kept or believed. Several processes may call it at one time.
Result<KvmProbe> KeptProbe(const std::string& file, int kvm, const std::function<Result<KvmProbe>()>& probe);

}  // namespace kata::hypervisor
