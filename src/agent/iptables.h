// SPDX-License-Identifier: Apache-2.0
// GetIPTables and SetIPTables: the guest's packet filter, by way of the programs that an image brings along.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <string>

#include "base/result.h"

namespace kata::agent {

// iptables-save, iptables-restore and their IPv6 twins. Their rules are text; a guest without these programs answers
// kFailedPrecondition and says how to get them. Needs the Reaper.
boost::asio::awaitable<Result<std::string>> SaveIpTables(bool ipv6);
// Returns what the program said. kInvalidArgument, with its words: it has refused the rules.
boost::asio::awaitable<Result<std::string>> RestoreIpTables(bool ipv6, std::string rules);

}  // namespace kata::agent
