// SPDX-License-Identifier: Apache-2.0
// Checks of `kata-runtime check` for hosts where guests run, but something that people expect of containers is missing.
#pragma once

#include <string>
#include <string_view>

#include "hypervisor/check.h"

namespace kata::hypervisor {

// Whether mounts of the host that come later can appear in volumes. mountinfo: that of proc(5).
CheckItem RootPropagation(std::string_view mountinfo);

// Whether the kernel has what connects a pod's network namespace to a VM. sys_modules: /sys/module; modules: the
// directory of the running kernel's modules, which need not be there.
CheckItem NetworkModules(const std::string& sys_modules, const std::string& modules);

}  // namespace kata::hypervisor
