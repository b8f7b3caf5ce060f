// SPDX-License-Identifier: Apache-2.0
// A way into the guest for processes in the pod's network namespace, as Podman without root forwards published ports:
// its forwarder (rootlessport) connects there to the address of the container's tap. That address is the pod's kernel's
// own, so a connection would never leave it. Here it is taken from the kernel and led to the VM, and an address that
// exists for this alone is where such connections come from.
#pragma once

#include <set>
#include <string>

#include "base/result.h"
#include "rtnetlink/rtnetlink.h"
#include "sandbox/network/scan.h"

namespace kata::sandbox::network {

// Leads the interface's IPv4 addresses to the VM through this runtime's tap, and adds them to `led`. Those that the
// pod's kernel does not take for its own stay as they are, so another call changes nothing. socket: rtnetlink in the
// pod's namespace. What is made goes with the tap, but for what CloseWayIn does.
Result<> OpenWayIn(nl_sock* socket, const PodInterface& interface, rtnl_link* tap, std::set<std::string>& led);

// Gives the addresses back to the pod's kernel. link: the index of their interface. What has gone is no error.
Result<> CloseWayIn(nl_sock* socket, int link, const std::set<std::string>& led);

// Adds what the guest has to know to answer such connections: a route to their address, and the tap's MAC.
void AddWayBack(const PodInterface& interface, rtnl_link* tap, PodNetwork& network);

}  // namespace kata::sandbox::network
