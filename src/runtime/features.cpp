// SPDX-License-Identifier: Apache-2.0
// `features`: what is supported, as the runtime-spec's features JSON.
#include "oci/features.h"

#include "runtime/output.h"
#include "runtime/verbs.h"

namespace kata::runtime {

Result<int> Features(const Globals&, const FeaturesOptions&) { return Print(oci::Features()); }

}  // namespace kata::runtime
