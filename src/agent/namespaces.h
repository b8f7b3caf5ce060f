// SPDX-License-Identifier: Apache-2.0
// The namespaces that all containers of a pod share, kept alive by descriptors.
#pragma once

#include <string>

#include "base/child.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace kata::agent {

struct SharedNamespaces {
  UniqueFd ipc;
  UniqueFd uts;
  UniqueFd pid;  // only with a pod-wide pid namespace
  // The init of the pid namespace, which lives as long as the pod and reaps the pod's orphans.
  Child pause;
};

// Makes ipc and uts, with this host name (empty: the guest's), and pid if asked for.
Result<SharedNamespaces> MakeSharedNamespaces(const std::string& hostname, bool with_pid);
// Makes pid, unless it is there.
Result<> NeedPidNamespace(SharedNamespaces& shared);

}  // namespace kata::agent
