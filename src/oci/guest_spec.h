// SPDX-License-Identifier: Apache-2.0
// The part of a spec that goes to the guest.
#pragma once

#include "protocol/oci.pb.h"

namespace kata::oci {

// The spec without what only means something on the host: hooks but startContainer's, network namespaces (the guest's
// network is the container's), paths of namespaces, cpuset (it names the host's processors), network priorities, labels
// of AppArmor and SELinux. Everything else stays, seccomp and all other limits too. root.path and the sources of bind
// mounts are still the host's: the sandbox replaces them.
grpc::Spec GuestSpec(const grpc::Spec& spec);

// The same for a container of a pod: its ipc and uts namespaces are the pod's, which the agent has.
struct PodSpec {
  grpc::Spec guest;
  bool shares_pid = false;  // the spec names a pid namespace that exists: the pod's, or another container's
};
PodSpec GuestSpecOfPod(const grpc::Spec& spec);

}  // namespace kata::oci
