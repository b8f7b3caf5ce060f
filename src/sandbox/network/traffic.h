// SPDX-License-Identifier: Apache-2.0
// Traffic control over netlink: all that one link receives goes out of another, and how fast a link may send.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "rtnetlink/rtnetlink.h"

namespace kata::sandbox::network {

// Everything that link `from` receives leaves by link `to` from now on: an ingress queueing discipline, if it has none,
// and a filter that is marked as ours, in the place of an older one.
Result<> Redirect(nl_sock* socket, int from, int to);
// Takes the filter back, and the ingress discipline, unless somebody else has filters there. Nothing of ours, or no
// such link, is success.
Result<> RemoveRedirect(nl_sock* socket, int from);
// Whether the link has a filter of ours, and where it leads: 0 where the other link has gone; -1: none.
Result<int> RedirectTarget(nl_sock* socket, int from);

// Limits what the link sends to so many bits per second (a token bucket as its root discipline, marked as ours).
// kAlreadyExists: somebody else has set one.
Result<> LimitRate(nl_sock* socket, int link, uint64_t bits_per_second);
Result<> RemoveLimit(nl_sock* socket, int link);

}  // namespace kata::sandbox::network
