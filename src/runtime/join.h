// SPDX-License-Identifier: Apache-2.0
// Which running sandbox a new container is to be in: that of its pod, or that of a container whose namespaces it joins.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "oci/bundle.h"
#include "runtime/store.h"

namespace kata::runtime {

// A container of the sandbox of `root` that a bundle asks for, with:
// - the annotations of Podman and CRI-O, which name the pod's first container (a pod may have none: then only paths
//   count),
// - paths of namespaces, which are those of a container's stand-in, /proc/PID/ns/TYPE, or, for the network, of a file
//   that is a running sandbox's network namespace.
// nullopt: it asks for none, and gets a sandbox of its own. kInvalidArgument: it asks for two, or for one and another
// network. kFailedPrecondition: the container that it asks for does not run. kUnimplemented: it joins a namespace that
// is of no container here.
Result<std::optional<Record>> FindSandbox(const std::string& root, const oci::Bundle& bundle);

}  // namespace kata::runtime
