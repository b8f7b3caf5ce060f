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

// Group numbers as they are in the container ("0 100", net.ipv4.ping_group_range) as the guest's own.
Result<std::string> GuestGroups(std::string_view value, const grpc::Linux& linux);

// Writes those of the network (net.*), or all others, through the base's /proc, which no container has touched. The
// network is not of the container's user namespace: its parameters are set before that is entered.
Result<> ApplySysctls(const grpc::Linux& linux, bool network);

}  // namespace kata::agent
