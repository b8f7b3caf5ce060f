// SPDX-License-Identifier: Apache-2.0
// Reads a pod's network namespace into messages of the agent's protocol.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "protocol/agent.pb.h"
#include "rtnetlink/rtnetlink.h"

namespace kata::sandbox::network {

// More than any pod has; further interfaces are reported as unsupported.
inline constexpr size_t kMaxInterfaces = 32;

// The name of the link that is made on the host for the interface with this index: "tap3_kata".
std::string TapName(int index);
bool IsTapName(std::string_view name);

// The type of an interface for the agent, or nothing if such a link cannot be attached. kind: the kernel's name for the
// kind of link; "" for hardware. Only Ethernet links can be attached.
std::optional<std::string> EndpointType(std::string_view kind, bool ethernet);

struct PodInterface {
  int index = 0;            // interface index in its namespace
  int parent = 0;           // index of the link that it is stacked on, or 0
  types::Interface config;  // device and name as in the namespace, addresses, MTU, MAC
};

struct PodNetwork {
  std::vector<PodInterface> interfaces;       // those to be attached, by index
  std::vector<int> links;                     // the indexes of all links
  std::vector<std::string> unsupported;       // an error for each link that has addresses but cannot be attached
  std::vector<types::Route> routes;           // of the main table, over these interfaces or to nowhere (blackhole)
  std::vector<std::string> losses;            // a warning for each route, or part of one, that the guest does not get
  std::vector<types::ARPNeighbor> neighbors;  // permanent ones

  // nullptr: there is none.
  const PodInterface* Find(int index) const;
};

// Whether disable_ipv6 is set in the current network namespace for an interface, or for "all" or "default". True also
// where the kernel has no IPv6, or has none for this interface.
bool Ipv6Disabled(const std::string& name);

// Reads the network of the namespace to which the rtnetlink socket belongs. Left out are loopback, this runtime's taps,
// links without an address (other than the automatic fe80::), and routes that the guest's kernel makes or learns by
// itself.
Result<PodNetwork> Scan(nl_sock* socket);

}  // namespace kata::sandbox::network
