// SPDX-License-Identifier: Apache-2.0
// The `options` of a runtime in containerd's configuration.
#pragma once

#include <string>

#include "protocol/wkt.pb.h"

namespace kata::shim {

// The configuration file that the options name (ConfigPath); "": none, or options of another type.
std::string ConfigPathOf(const wkt::Any& options);

}  // namespace kata::shim
