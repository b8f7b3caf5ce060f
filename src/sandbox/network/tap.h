// SPDX-License-Identifier: Apache-2.0
// Opens the descriptors through which a VMM sends and receives the packets of a network card.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace kata::sandbox::network {

// Makes a tap with this name and number of queues in the current network namespace. The tap exists until the last of
// its descriptors is closed. kAlreadyExists: there is a link with this name.
Result<std::vector<UniqueFd>> MakeTap(const std::string& name, uint32_t queues);

// Opens an existing tap. kAlreadyExists: another process has it open. kNotFound: there is no such link.
// kInvalidArgument: the link is not a tap, or has one queue where several are wanted, or several where one is wanted.
Result<std::vector<UniqueFd>> OpenTap(const std::string& name, uint32_t queues);

// Opens the queues of an existing macvtap link in the current network namespace.
Result<std::vector<UniqueFd>> OpenMacvtap(const std::string& name, uint32_t queues);

// One vhost-net descriptor for each queue; none if the host has no vhost-net.
std::vector<UniqueFd> OpenVhost(size_t queues);

}  // namespace kata::sandbox::network
