// SPDX-License-Identifier: Apache-2.0
// `features`: prints the features JSON of the OCI runtime-spec.
#include "oci/features.h"

#include "runtime/output.h"
#include "runtime/verbs.h"

namespace kata::runtime {

Result<int> Features(const Globals&, const FeaturesOptions&) { return Print(oci::Features()); }

}  // namespace kata::runtime
