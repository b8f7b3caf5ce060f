// SPDX-License-Identifier: Apache-2.0
#include "shim/runtime_options.h"

#include <string_view>

#include "config/text.h"
#include "protocol/runc_options.pb.h"
#include "protocol/runtime_options.pb.h"

namespace kata::shim {

RuntimeOptions ReadRuntimeOptions(const wkt::Any& options) {
  RuntimeOptions read;
  const std::string_view type = options.type_url();
  if (type.ends_with("runtimeoptions.v1.Options")) {
    runtimeoptions::v1::Options known;
    if (!known.ParseFromString(options.value())) return read;
    read.config_path = known.config_path();
    read.systemd_cgroup = config::BooleanIn(known.config_body(), "SystemdCgroup");
  } else if (type.ends_with("containerd.runc.v1.Options")) {
    containerd::runc::v1::Options known;
    if (known.ParseFromString(options.value()) && known.systemd_cgroup()) read.systemd_cgroup = true;
  }
  return read;
}

RuntimeOptions Merge(RuntimeOptions before, const RuntimeOptions& later) {
  if (!later.config_path.empty()) before.config_path = later.config_path;
  if (later.systemd_cgroup) before.systemd_cgroup = later.systemd_cgroup;
  return before;
}

}  // namespace kata::shim
