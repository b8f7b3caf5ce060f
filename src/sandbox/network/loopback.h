// SPDX-License-Identifier: Apache-2.0
// The loopback of a pod's network namespace on the host. The pod's servers are in the guest, so nobody listens there.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "sandbox/network/namespace.h"

namespace kata::sandbox::network {

// Catches the TCP connections to 127.0.0.0/8 and ::1 in one namespace for as long as it lives.
struct LoopbackCatch {
  // A listening IPv6 socket, non-blocking, that gets them all. The local address of what it accepts is the one that
  // was meant, with its port.
  UniqueFd listener;
  UniqueFd link;  // the kernel's hook, which goes with this descriptor and leaves nothing behind
};

// kInvalidArgument: it is the host's own namespace, whose loopback is not the pod's. kUnimplemented or
// kPermissionDenied: the kernel has no BPF for this (5.9), or this process may not use it.
Result<LoopbackCatch> CatchLoopback(const Namespace& pod);

}  // namespace kata::sandbox::network
