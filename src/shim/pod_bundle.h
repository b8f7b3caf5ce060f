// SPDX-License-Identifier: Apache-2.0
// The bundle of a pod without a pause container: containerd 2 with `sandboxer = "shim"` creates a directory without a
// config.json, and describes the pod by the CRI's PodSandboxConfig.
#pragma once

#include "base/result.h"
#include "oci/bundle.h"
#include "protocol/sandbox.pb.h"

namespace kata::shim {

// Whether the request's bundle has a config.json.
bool HasSpec(const containerd::runtime::sandbox::v1::CreateSandboxRequest& request);

// Builds the spec that a pause container would have: hostname, namespaces, cgroup, sysctls, annotations, and the mounts
// that every container of the pod gets: /etc/hostname, /etc/hosts and /etc/resolv.conf, which are written into the
// bundle's directory. Without options, or with options of another type, the pod gets the host's hostname and name
// servers. kInvalidArgument: the options do not parse.
Result<oci::Bundle> MakePodBundle(const containerd::runtime::sandbox::v1::CreateSandboxRequest& request);

}  // namespace kata::shim
