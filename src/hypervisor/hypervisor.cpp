// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/hypervisor.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "hypervisor/qemu/driver.h"

namespace kata::hypervisor {
namespace {

struct Built {
  const char* name;
  Result<std::unique_ptr<Hypervisor>> (*create)(const asio::any_io_executor& executor, const config::Config& config);
};

// All hypervisors. A new one is added here.
constexpr Built kBuilt[] = {{"qemu", qemu::CreateDriver}};

}  // namespace

std::vector<std::string> BuiltHypervisors() {
  std::vector<std::string> names;
  for (const Built& built : kBuilt) names.emplace_back(built.name);
  return names;
}

Result<std::unique_ptr<Hypervisor>> CreateHypervisor(const asio::any_io_executor& executor,
                                                     const config::Config& config) {
  const std::string& name = config.hypervisor.name;
  const auto found =
      std::find_if(std::begin(kBuilt), std::end(kBuilt), [&](const Built& built) { return name == built.name; });
  if (found != std::end(kBuilt)) return found->create(executor, config);
  return Fail(Code::kUnimplemented, "the hypervisor \"{}\" is not built in; there are: {}", name,
              fmt::join(BuiltHypervisors(), ", "));
}

}  // namespace kata::hypervisor
