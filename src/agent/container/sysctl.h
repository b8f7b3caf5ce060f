// SPDX-License-Identifier: Apache-2.0
// linux.sysctl: kernel parameters, set in the namespaces of the container.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "protocol/oci.pb.h"

namespace kata::agent {

// "net.ipv4.ip_forward" or "net/ipv4/ip_forward" as a path beneath /proc/sys. As in sysctl(8), the first separator says
// which of the two it is; the other character is then swapped ("net.ipv4.conf.eth0/1.x" is eth0.1).
Result<std::string> SysctlPath(std::string_view name);

// Writes them through the base's /proc, which no container has touched.
Result<> ApplySysctls(const grpc::Linux& linux);

}  // namespace kata::agent
