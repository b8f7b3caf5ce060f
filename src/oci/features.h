// SPDX-License-Identifier: Apache-2.0
// What is supported, as the runtime-spec's features JSON.
#pragma once

#include <string>

namespace kata::oci {

std::string Features();

}  // namespace kata::oci
