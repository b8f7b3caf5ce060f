// SPDX-License-Identifier: Apache-2.0
// The `options` of a runtime in containerd's configuration, as containerd passes them on.
#pragma once

#include <optional>
#include <string>

#include "protocol/wkt.pb.h"

namespace kata::shim {

struct RuntimeOptions {
  std::string config_path;             // ConfigPath, the configuration file; empty: none
  std::optional<bool> systemd_cgroup;  // SystemdCgroup; nothing: not said
};

// Reads options of the type for runtimes in general (runtimeoptions.v1.Options), in which containerd puts the table
// itself if it has no ConfigPath and otherwise only that, or of runc's (containerd.runc.v1.Options), in which a false
// SystemdCgroup is the same as none. Options of another type, or damaged ones, say nothing.
RuntimeOptions ReadRuntimeOptions(const wkt::Any& options);

// What is said later overrides what was said before.
RuntimeOptions Merge(RuntimeOptions before, const RuntimeOptions& later);

}  // namespace kata::shim
