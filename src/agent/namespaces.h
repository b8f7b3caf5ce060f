// SPDX-License-Identifier: Apache-2.0
// The namespaces that all containers of a pod share. Descriptors keep them alive.
#pragma once

#include <string>

#include "base/child.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "protocol/oci.pb.h"

namespace kata::agent {

struct SharedNamespaces {
  std::string hostname;
  UniqueFd ipc;
  UniqueFd uts;
  // Valid only if the pod's containers have a user namespace. It owns the others then: only so does its root have
  // rights over them, and may mount what shows them (mqueue, proc).
  UniqueFd user;
  grpc::Linux mappings;  // those of the user namespace
  UniqueFd pid;          // valid only if the pod has a shared pid namespace
  // The init of that pid namespace. It lives as long as the pod and reaps orphans in the namespace.
  Child pause;
};

// Makes the ipc and uts namespaces with this host name (empty: the guest's), and the pid namespace if with_pid.
Result<SharedNamespaces> MakeSharedNamespaces(const std::string& hostname, bool with_pid);
// Makes the pid namespace unless shared has one already.
Result<> NeedPidNamespace(SharedNamespaces& shared);
// Makes the user namespace with the mappings of this container unless shared has it already, and with it ipc and uts
// namespaces for the containers that follow. kInvalidArgument: it has other mappings. kFailedPrecondition: the pod has
// a shared pid namespace already, which it would not own. Errors of WriteIdMaps.
Result<> NeedUserNamespace(SharedNamespaces& shared, const grpc::Linux& container);

}  // namespace kata::agent
