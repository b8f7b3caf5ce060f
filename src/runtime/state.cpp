// SPDX-License-Identifier: Apache-2.0
// `state`: prints the OCI state of a container.
#include "runtime/output.h"
#include "runtime/report_state.h"
#include "runtime/verbs.h"

namespace kata::runtime {

Result<int> State(const Globals& globals, const StateOptions& options) {
  return Print(StateJson(TRY(FindContainer(globals.root, options.id))));
}

}  // namespace kata::runtime
