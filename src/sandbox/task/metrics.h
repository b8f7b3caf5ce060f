// SPDX-License-Identifier: Apache-2.0
// Converts the guest's statistics of a container to the messages that containerd's clients know (Task Stats).
#pragma once

#include "protocol/agent.pb.h"
#include "protocol/wkt.pb.h"

namespace kata::sandbox {

// io.containerd.cgroups.v2.Metrics when unified, else io.containerd.cgroups.v1.Metrics.
wkt::Any PackMetrics(const grpc::StatsContainerResponse& stats, bool unified);

}  // namespace kata::sandbox
