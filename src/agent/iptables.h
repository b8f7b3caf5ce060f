// SPDX-License-Identifier: Apache-2.0
// GetIPTables and SetIPTables: the guest's packet filter, read and set by the iptables programs of the initrd.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <string>

#include "base/result.h"

namespace kata::agent {

// Both need a Reaper. kFailedPrecondition: the guest has no such program; the message says how to add it to the initrd.
// kInvalidArgument: the program exited with an error; the message has its stderr.

// Runs iptables-save or ip6tables-save and returns the rules as text.
boost::asio::awaitable<Result<std::string>> SaveIpTables(bool ipv6);
// Runs iptables-restore or ip6tables-restore with the rules as input, and returns the program's output.
boost::asio::awaitable<Result<std::string>> RestoreIpTables(bool ipv6, std::string rules);

}  // namespace kata::agent
