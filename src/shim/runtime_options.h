// SPDX-License-Identifier: Apache-2.0
// What containerd's configuration says to a runtime (its `options`).
#pragma once

#include <string>

#include "protocol/wkt.pb.h"

namespace kata::shim {

// The configuration file that they name (ConfigPath); empty: none, or options of another kind.
std::string ConfigPathOf(const wkt::Any& options);

}  // namespace kata::shim
