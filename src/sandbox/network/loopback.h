// SPDX-License-Identifier: Apache-2.0
// Catches connections to the loopback of a pod's network namespace on the host. The pod's servers are in the guest, so
// no process on the host listens there.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "sandbox/network/namespace.h"

namespace kata::sandbox::network {

// Catches the TCP connections to 127.0.0.0/8 and ::1 in one namespace for as long as this object exists.
struct LoopbackCatch {
  // A listening IPv6 socket, non-blocking, that gets all these connections. The local address and port of an accepted
  // connection are those that the client meant.
  UniqueFd listener;
  UniqueFd link;  // the BPF link; closing it detaches the program
};

// kInvalidArgument: the namespace is the host's own, whose loopback is not the pod's. Other errors are bpf(2)'s:
// kPermissionDenied if this process may not use BPF; kUnimplemented or kInvalidArgument if the kernel has no socket
// lookup programs (Linux 5.9).
Result<LoopbackCatch> CatchLoopback(const Namespace& pod);

}  // namespace kata::sandbox::network
