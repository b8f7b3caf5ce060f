// SPDX-License-Identifier: Apache-2.0
// GetMetrics: what the guest and the agent have used, as Prometheus text with Kata's names.
#pragma once

#include <string>

namespace kata::agent {

// Read from /proc at the moment of the call; what cannot be read is left out. scrapes: how often it was asked for.
std::string Metrics(uint64_t scrapes);

}  // namespace kata::agent
