// SPDX-License-Identifier: Apache-2.0
// The namespaces that all containers of a pod share. Descriptors keep them alive.
#pragma once

#include <string>

#include "base/child.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace kata::agent {

struct SharedNamespaces {
  UniqueFd ipc;
  UniqueFd uts;
  UniqueFd pid;  // valid only if the pod has a shared pid namespace
  // The init of that pid namespace. It lives as long as the pod and reaps orphans in the namespace.
  Child pause;
};

// Makes the ipc and uts namespaces with this host name (empty: the guest's), and the pid namespace if with_pid.
Result<SharedNamespaces> MakeSharedNamespaces(const std::string& hostname, bool with_pid);
// Makes the pid namespace unless shared has one already.
Result<> NeedPidNamespace(SharedNamespaces& shared);

}  // namespace kata::agent
