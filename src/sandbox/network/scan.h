// SPDX-License-Identifier: Apache-2.0
// The contents of a pod's network namespace, as messages of the agent's protocol.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "protocol/agent.pb.h"
#include "rtnetlink/rtnetlink.h"

namespace kata::sandbox::network {

// More than any pod has; what is beyond is not looked at.
inline constexpr size_t kMaxInterfaces = 32;

// The name of what is made on the host for the interface with this number: "tap3_kata".
std::string TapName(int index);
bool IsTapName(std::string_view name);

// The type that the guest is told, for a kind of link that can be attached; kind is the kernel's name for it, "" for
// hardware. Ethernet only.
std::optional<std::string> EndpointType(std::string_view kind, bool ethernet);

struct PodInterface {
  int index = 0;            // in its namespace
  int parent = 0;           // the link that it is on, or 0
  types::Interface config;  // device and name as in the namespace, addresses, MTU, MAC
};

struct PodNetwork {
  std::vector<PodInterface> interfaces;       // those to be attached, in the order of their numbers
  std::vector<int> links;                     // all links that there are
  std::vector<std::string> unsupported;       // those that have addresses and cannot be attached: an error each
  std::vector<types::Route> routes;           // of the main table, over the interfaces above or leading nowhere
  std::vector<std::string> losses;            // what of the routes the guest does not get: a warning each
  std::vector<types::ARPNeighbor> neighbors;  // permanent ones

  const PodInterface* Find(int index) const;
};

// Reads it all from a socket of the namespace. Left out: loopback, links without an address (one that the kernel gave
// itself, fe80::, is none), our own taps, and of the routes what the guest's kernel makes or learns by itself.
Result<PodNetwork> Scan(nl_sock* socket);

}  // namespace kata::sandbox::network
