// SPDX-License-Identifier: Apache-2.0
// The descriptors through which a VMM gets the packets of a network card.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace kata::sandbox::network {

// Makes a tap with this name and so many queues in the current network namespace; it goes with the last of them.
// kAlreadyExists: there is a link with this name.
Result<std::vector<UniqueFd>> MakeTap(const std::string& name, uint32_t queues);

// Opens a tap that somebody has made. kAlreadyExists: another process has it open; kNotFound: there is none;
// kInvalidArgument: the link is no tap, or one with several queues where one is wanted, or the other way round.
Result<std::vector<UniqueFd>> OpenTap(const std::string& name, uint32_t queues);

// The same for a macvtap link, which exists, in the current network namespace.
Result<std::vector<UniqueFd>> OpenMacvtap(const std::string& name, uint32_t queues);

// One for each queue, or none where the host has no vhost-net.
std::vector<UniqueFd> OpenVhost(size_t queues);

}  // namespace kata::sandbox::network
