// SPDX-License-Identifier: Apache-2.0
// GetMetrics: resource usage of the guest and the agent, as Prometheus text with Kata's metric names.
#pragma once

#include <string>

namespace kata::agent {

// Reads /proc at each call. Metrics that cannot be read are left out or 0. scrapes: the number of GetMetrics calls so
// far, which is itself a metric.
std::string Metrics(uint64_t scrapes);

}  // namespace kata::agent
