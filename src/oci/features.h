// SPDX-License-Identifier: Apache-2.0
// The features JSON of the OCI runtime-spec ("Linux Features Structure"): what this runtime supports.
#pragma once

#include <string>

namespace kata::oci {

std::string Features();

}  // namespace kata::oci
