// SPDX-License-Identifier: Apache-2.0
// Converts the guest's statistics of a container to the messages that containerd's clients know (Task Stats).
#pragma once

#include "protocol/agent.pb.h"
#include "protocol/wkt.pb.h"

namespace kata::sandbox {

// Whether this host's clients expect cgroup v2: /sys/fs/cgroup is a cgroup2 file system. To be called in the host's
// mount namespace: the sandbox's has no such directory.
bool HostIsUnified();

// io.containerd.cgroups.v2.Metrics when unified, else io.containerd.cgroups.v1.Metrics.
wkt::Any PackMetrics(const grpc::StatsContainerResponse& stats, bool unified);

}  // namespace kata::sandbox
