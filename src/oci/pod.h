// SPDX-License-Identifier: Apache-2.0
// Which part of a pod a container is, from the annotations of containerd's CRI plugin, CRI-O and dockershim.
#pragma once

#include <map>
#include <string>

#include "base/result.h"
#include "protocol/oci.pb.h"

namespace kata::oci {

enum class ContainerType {
  kSingle,     // no pod: ctr, nerdctl, Docker
  kSandbox,    // the pod's own, which comes first
  kContainer,  // one more in a pod that is there
};

struct PodRole {
  ContainerType type = ContainerType::kSingle;
  std::string sandbox;  // the pod's sandbox id; empty for kSingle and kSandbox
};

// kInvalidArgument: a type that nobody knows, or a container without the id of its sandbox.
Result<PodRole> PodRoleOf(const std::map<std::string, std::string>& annotations);

// What the containers of a pod together may use, from the annotations of its sandbox (containerd 1.6, Kubernetes 1.23
// and newer: cpu quota and period in microseconds, memory in bytes). Without them there are no limits.
// kInvalidArgument: a value that is no number.
Result<grpc::LinuxResources> PodResources(const std::map<std::string, std::string>& annotations);

// kInvalidArgument: the sandbox's spec has no pid or ipc namespace, which means that the pod wants the host's (hostPID,
// hostIPC), whose processes and segments a virtual machine cannot see.
Result<> RefuseHostNamespaces(const grpc::Spec& sandbox);

// What a container of a pod gets from the pod's spec where its own does not say otherwise: mounts by their destination,
// read-only with a read-only root, and kernel parameters.
void AddPodDefaults(const grpc::Spec& pod, grpc::Spec& container);

// Puts a network namespace into a spec, in the place of the one that it names.
void SetNetworkNamespace(grpc::Spec& spec, const std::string& path);

}  // namespace kata::oci
