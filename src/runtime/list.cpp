// SPDX-License-Identifier: Apache-2.0
// `list`: lists all containers of the root directory.
#include "runtime/output.h"
#include "runtime/report_state.h"
#include "runtime/verbs.h"

namespace kata::runtime {

Result<int> List(const Globals& globals, const ListOptions& options) {
  const std::vector<Record> records = TRY(ListContainers(globals.root));
  if (options.quiet) {
    std::string ids;
    for (const Record& record : records) ids += record.id + "\n";
    return Print(ids);
  }
  return Print(options.json ? ListJson(records) : ListTable(records));
}

}  // namespace kata::runtime
