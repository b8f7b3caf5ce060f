// SPDX-License-Identifier: Apache-2.0
// Traffic control over rtnetlink (tc(8)): redirects what one link receives to another, and limits how fast a link
// sends.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "rtnetlink/rtnetlink.h"

namespace kata::sandbox::network {

// Sends everything that link `from` receives out of link `to`. Adds an ingress queueing discipline if `from` has none,
// and a filter that is marked as this runtime's; it replaces an older one.
Result<> Redirect(nl_sock* socket, int from, int to);
// Lets the pod's kernel have what link `from` receives for this IPv4 address (in network byte order), before Redirect's
// filter. It goes with the link.
Result<> LetPass(nl_sock* socket, int from, uint32_t address);
// Removes the filter, and the ingress discipline unless it has filters of others. Success if there is no filter of this
// runtime, or no such link.
Result<> RemoveRedirect(nl_sock* socket, int from);
// The index of the link to which this runtime's filter on `from` leads. 0: that link has gone. -1: there is no such
// filter.
Result<int> RedirectTarget(nl_sock* socket, int from);

// Limits the rate at which the link sends: a token bucket (tc-tbf(8)) as its root discipline, marked as this runtime's.
// kAlreadyExists: the link has somebody else's root discipline.
Result<> LimitRate(nl_sock* socket, int link, uint64_t bits_per_second);
// Success if there is no limit of this runtime.
Result<> RemoveLimit(nl_sock* socket, int link);

}  // namespace kata::sandbox::network
