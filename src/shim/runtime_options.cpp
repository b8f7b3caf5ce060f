// SPDX-License-Identifier: Apache-2.0
#include "shim/runtime_options.h"

#include <string_view>

#include "protocol/runtime_options.pb.h"

namespace kata::shim {

std::string ConfigPathOf(const wkt::Any& options) {
  constexpr std::string_view kType = "runtimeoptions.v1.Options";
  if (!std::string_view(options.type_url()).ends_with(kType)) return "";
  runtimeoptions::v1::Options known;
  if (!known.ParseFromString(options.value())) return "";
  return known.config_path();
}

}  // namespace kata::shim
