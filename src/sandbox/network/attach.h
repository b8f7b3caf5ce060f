// SPDX-License-Identifier: Apache-2.0
// Connects interfaces of a pod to a VM, and removes everything that was made for that.
#pragma once

#include <cstdint>
#include <set>
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
  std::string sandbox;  // the sandbox's id
  Model model = Model::kTcFilter;
  uint32_t queues = 1;
  bool vhost = true;     // use vhost-net if the host has it
  uint64_t rx_rate = 0;  // bits per second that the guest may receive; 0: no limit
  uint64_t tx_rate = 0;  // bits per second that the guest may send; 0: no limit
  bool way_in = false;   // OpenWayIn for taps
};

// One attached interface, for Renew and Detach.
struct Attachment {
  int index = 0;
  std::string name;
  std::string mac;  // the interface's, which the guest gets; with macvtap the pod's link gets another one
  Model model = Model::kTcFilter;
  bool redirected = false;
  bool limited = false;
  std::set<std::string> led;  // OpenWayIn
};

struct Attached {
  Attachment attachment;
  hypervisor::NetworkDevice device;  // the caller sets its id
};

// Connects one interface; an error takes everything back. socket: rtnetlink in the pod's namespace. A tap exists as
// long as the device's descriptors. kAlreadyExists: another VM has the interface. kUnimplemented: a macvtap cannot be
// had on this link, or not limited for reception.
Result<Attached> Attach(const Namespace& pod, nl_sock* socket, const PodInterface& interface,
                        const AttachOptions& options);
// Restores what changes of the pod have undone: the tap's MTU, and the filters, which a link loses when it leaves its
// namespace, even if it comes back. Success when the tap has gone.
Result<> Renew(nl_sock* socket, Attachment& attachment, const PodInterface& interface, const AttachOptions& options);
// Removes what Attach made, and restores the link's hardware address. What has gone already is no error.
Result<> Detach(nl_sock* socket, const Attachment& attachment);

// Removes what a killed sandbox process has left in a namespace: filters and limits of links whose tap has gone, and
// macvtaps of this sandbox. What another VM uses stays.
Result<> RemoveLeftovers(const Namespace& pod, const std::string& sandbox);
// RemoveLeftovers for the namespace at a path, if it still exists. Errors are logged.
void RemoveLeftoversAt(const std::string& path, const std::string& sandbox);

}  // namespace kata::sandbox::network
