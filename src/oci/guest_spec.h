// SPDX-License-Identifier: Apache-2.0
// The part of a spec that is sent to the guest.
#pragma once

#include "protocol/oci.pb.h"

namespace kata::oci {

// Removes what has a meaning on the host only: all hooks except startContainer, network namespaces (the container uses
// the guest's network), paths of namespaces, cpusets (they name CPUs of the host), network classes and priorities, and
// AppArmor and SELinux labels. All other fields stay, seccomp and the other limits included. root.path and the sources
// of bind mounts are still paths of the host: the sandbox replaces them.
grpc::Spec GuestSpec(const grpc::Spec& spec);

// The spec of a container of a pod.
struct PodSpec {
  grpc::Spec guest;
  bool shares_pid = false;  // the host's spec names an existing pid namespace: the pod's or another container's
};
// As GuestSpec; in addition, ipc, uts and user namespaces get a path, which makes the agent use those of the pod.
PodSpec GuestSpecOfPod(const grpc::Spec& spec);

}  // namespace kata::oci
