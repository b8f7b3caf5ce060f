// SPDX-License-Identifier: Apache-2.0
// The role of a container in a pod, read from the annotations of containerd's CRI plugin, CRI-O and dockershim.
#pragma once

#include <sys/types.h>

#include <map>
#include <string>

#include "base/result.h"
#include "protocol/oci.pb.h"

namespace kata::oci {

enum class ContainerType {
  kSingle,     // not in a pod: ctr, nerdctl, Docker
  kSandbox,    // the pod's pause container, which is created first
  kContainer,  // another container of an existing pod
};

struct PodRole {
  ContainerType type = ContainerType::kSingle;
  std::string sandbox;  // the id of the pod's sandbox; empty for kSingle and kSandbox
};

// kInvalidArgument: an unknown type of container, or a container of a pod without a valid id of its sandbox.
Result<PodRole> PodRoleOf(const std::map<std::string, std::string>& annotations);

// Whether a spec is of a container of a pod, whoever its manager is. Such a spec may name namespaces that the manager
// keeps on the host for the pod.
bool IsOfPod(const grpc::Spec& spec);

// The pid in the path of a namespace that is that of a process: /proc/PID/ns/TYPE. 0: it has no path, or another one.
pid_t PidInPath(const grpc::LinuxNamespace& space);

// What is wrong with linux.namespaces[index]: its path leads to no namespace that a guest has.
Error CannotJoin(int index, const grpc::LinuxNamespace& space);

// The limits for all containers of a pod together, from the annotations of its sandbox (containerd 1.6 with Kubernetes
// 1.23, and newer): CPU quota and period in microseconds, memory in bytes. Without these annotations there are no
// limits. kInvalidArgument: a value that is not a number.
Result<grpc::LinuxResources> PodResources(const std::map<std::string, std::string>& annotations);

// kInvalidArgument: the sandbox's spec has no pid or no ipc namespace. Such a pod asks for the host's namespace
// (hostPID, hostIPC), whose processes and IPC objects a guest cannot see.
Result<> RefuseHostNamespaces(const grpc::Spec& sandbox);

// Copies to a container of a pod what the pod's spec has and its own does not: mounts, compared by destination (added
// with "ro" if the container's root is read-only, else "rw", and with the mappings of its user namespace), and sysctls.
void AddPodDefaults(const grpc::Spec& pod, grpc::Spec& container);

// Sets the path of the spec's network namespace; adds that namespace if the spec has none.
void SetNetworkNamespace(grpc::Spec& spec, const std::string& path);

}  // namespace kata::oci
