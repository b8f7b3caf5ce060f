// SPDX-License-Identifier: Apache-2.0
// containerd-shim-kata-v2: containerd's runtime v2 for pods in VMs (docs/containerd-shim-kata-v2.md).
#include <fcntl.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "base/files.h"
#include "base/log.h"
#include "oci/features.h"
#include "protocol/runtime_info.pb.h"
#include "shim/actions.h"

namespace kata::shim {
namespace {

std::string RuntimeInfo() {
  containerd::types::RuntimeInfo info;
  info.set_name("io.containerd.kata.v2");
  info.mutable_version()->set_version(KATA_VERSION);
  info.mutable_features()->set_type_url("types.containerd.io/opencontainers/runtime-spec/1/features/Features");
  info.mutable_features()->set_value(oci::Features());
  return info.SerializeAsString();
}

int Main(const std::vector<std::string>& words) {
  const auto arguments = ParseArguments(words);
  Result<> done;
  if (!arguments) {
    done = tl::unexpected<Error>(arguments.error());
  } else if (arguments->action == Action::kServe) {
    return Serve(*arguments);
  } else if (arguments->action == Action::kVersion) {
    done = WriteAll(STDOUT_FILENO, "containerd-shim-kata-v2 " KATA_VERSION "\n");
  } else if (arguments->action == Action::kInfo) {
    done = WriteAll(STDOUT_FILENO, RuntimeInfo());
  } else {
    done = arguments->action == Action::kStart ? Start(*arguments) : Delete(*arguments);
  }
  if (done) return 0;
  // containerd shows this text to the user.
  (void)WriteAll(STDERR_FILENO, "containerd-shim-kata-v2: " + done.error().message() + "\n");
  return 1;
}

}  // namespace
}  // namespace kata::shim

int main(int argc, char** argv) { return kata::shim::Main({argv + 1, argv + argc}); }
