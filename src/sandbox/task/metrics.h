// SPDX-License-Identifier: Apache-2.0
// The statistics of a container in the guest, in the messages that containerd's clients know (Task Stats).
#pragma once

#include "protocol/agent.pb.h"
#include "protocol/wkt.pb.h"

namespace kata::sandbox {

// Whether cgroup v2 is what this host's clients expect: /sys/fs/cgroup is a cgroup2 file system. To be asked in the
// host's mount namespace, since that of a sandbox has no such directory.
bool HostIsUnified();

// io.containerd.cgroups.v2.Metrics when unified, else io.containerd.cgroups.v1.Metrics.
wkt::Any PackMetrics(const grpc::StatsContainerResponse& stats, bool unified);

}  // namespace kata::sandbox
