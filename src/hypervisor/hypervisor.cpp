// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/hypervisor.h"

#include "hypervisor/qemu/driver.h"

namespace kata::hypervisor {

Result<std::unique_ptr<Hypervisor>> CreateHypervisor(const asio::any_io_executor& executor,
                                                     const config::Config& config) {
  const std::string& machine = config.hypervisor.machine_type;
  if (machine.empty() || machine.find(',') != std::string::npos) {
    return Fail(Code::kInvalidArgument, "machine_type: {} is no name of a machine", machine);
  }
  return std::make_unique<qemu::Driver>(executor, config);
}

}  // namespace kata::hypervisor
