// SPDX-License-Identifier: Apache-2.0
// linux.sysctl of the runtime-spec: sets kernel parameters in the namespaces of the container.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "protocol/oci.pb.h"

namespace kata::agent {

// Converts the name of a parameter, "net.ipv4.ip_forward" or "net/ipv4/ip_forward", to a path below /proc/sys. As in
// sysctl(8), the first separator in the name decides: if it is a dot, dots and slashes are swapped, so that
// "net.ipv4.conf.eth0/1.x" refers to the interface eth0.1. kInvalidArgument: the path would leave /proc/sys.
Result<std::string> SysctlPath(std::string_view name);

// Maps the container's group numbers in value ("0 100", for net.ipv4.ping_group_range) to those of the guest by
// linux.gidMappings. kInvalidArgument: no number, or a group that is not mapped.
Result<std::string> GuestGroups(std::string_view value, const grpc::Linux& linux);

// Writes the parameters of the network (net.*) if network, else all others. Must be called in the base (base_root.h),
// whose /proc no container can have changed. The network namespace does not belong to the container's user namespace,
// so the caller sets its parameters before it enters that.
Result<> ApplySysctls(const grpc::Linux& linux, bool network);

}  // namespace kata::agent
