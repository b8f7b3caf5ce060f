// SPDX-License-Identifier: Apache-2.0
// The bundle of a pod that has no container of its own: containerd 2 with `sandboxer = "shim"` makes a directory
// without a config.json, and tells of the pod by the CRI's PodSandboxConfig.
#pragma once

#include "base/result.h"
#include "oci/bundle.h"
#include "protocol/sandbox.pb.h"

namespace kata::shim {

// Whether the request's bundle has a config.json.
bool HasSpec(const containerd::runtime::sandbox::v1::CreateSandboxRequest& request);

// What the pod's own container would have had in its spec: hostname, namespaces, cgroup, sysctls, annotations, and the
// mounts that each container of the pod gets: /etc/hostname, /etc/hosts and /etc/resolv.conf, which are written into
// the bundle's directory. Options of another kind, or none, make a pod with the host's names and name servers.
Result<oci::Bundle> MakePodBundle(const containerd::runtime::sandbox::v1::CreateSandboxRequest& request);

}  // namespace kata::shim
