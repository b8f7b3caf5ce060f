// SPDX-License-Identifier: Apache-2.0
// Connects interfaces of a pod to a VM, and takes everything back that was made for it.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "hypervisor/hypervisor.h"
#include "sandbox/network/namespace.h"
#include "sandbox/network/scan.h"

namespace kata::sandbox::network {

// How interfaces are connected (docs/network.md).
enum class Model { kTcFilter, kMacvtap, kNone };
Model ModelOf(const std::string& internetworking_model);

struct AttachOptions {
  std::string sandbox;  // its id
  Model model = Model::kTcFilter;
  uint32_t queues = 1;
  bool vhost = true;     // where the host has it
  uint64_t rx_rate = 0;  // bits per second that the guest may receive; 0: no limit
  uint64_t tx_rate = 0;  // that it may send
};

// One attached interface: what Detach takes back.
struct Attachment {
  int index = 0;
  std::string name;
  std::string mac;  // the guest's; with macvtap the pod's link has another one meanwhile
  Model model = Model::kTcFilter;
  bool redirected = false;
  bool limited = false;
};

struct Attached {
  Attachment attachment;
  hypervisor::NetworkDevice device;  // without an id
};

// Connects one interface; all or nothing. The tap lives as long as the device's descriptors.
Result<Attached> Attach(const Namespace& pod, nl_sock* socket, const PodInterface& interface,
                        const AttachOptions& options);
// Makes good what the pod has changed since: the link's MTU, and the filters, which a link loses that leaves its
// namespace, also when it comes back.
Result<> Renew(nl_sock* socket, const Attachment& attachment, const PodInterface& interface,
               const AttachOptions& options);
// Something that has gone already is no error.
Result<> Detach(nl_sock* socket, const Attachment& attachment);

// Removes what a sandbox process that was killed has left in a namespace: filters and limits of links whose tap has
// gone, and macvtaps of this sandbox. What another VM uses stays.
Result<> RemoveLeftovers(const Namespace& pod, const std::string& sandbox);
// The same for the namespace at a path, if it still exists. What goes wrong is logged.
void RemoveLeftoversAt(const std::string& path, const std::string& sandbox);

}  // namespace kata::sandbox::network
