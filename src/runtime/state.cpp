// SPDX-License-Identifier: Apache-2.0
// `state`: the OCI state of one container.
#include "runtime/output.h"
#include "runtime/report_state.h"
#include "runtime/verbs.h"

namespace kata::runtime {

Result<int> State(const Globals& globals, const StateOptions& options) {
  return Print(StateJson(TRY(FindContainer(globals.root, options.id))));
}

}  // namespace kata::runtime
