// SPDX-License-Identifier: Apache-2.0
// `spec`: writes a template of a config.json.
#include <fcntl.h>

#include "base/files.h"
#include "oci/default_spec.h"
#include "runtime/verbs.h"

namespace kata::runtime {

Result<int> Spec(const Globals&, const SpecOptions& options) {
  const std::string directory = options.bundle.empty() ? "." : options.bundle;
  auto file = Open(directory + "/config.json", O_WRONLY | O_CREAT | O_EXCL, 0666);
  if (!file && file.error().code() == Code::kAlreadyExists) {
    return Fail(Code::kAlreadyExists, "File config.json exists. Remove it first");
  }
  if (!file) return tl::unexpected(std::move(file).error());
  TRY(WriteAll(file->get(), options.rootless ? oci::RootlessSpecJson(geteuid(), getegid()) : oci::DefaultSpecJson()));
  return 0;
}

}  // namespace kata::runtime
