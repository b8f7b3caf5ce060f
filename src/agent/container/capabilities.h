// SPDX-License-Identifier: Apache-2.0
// The five capability sets of a process (capabilities(7)), from the names of the spec to the kernel.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "protocol/oci.pb.h"

namespace kata::agent {

// Bit n is the capability with number n.
struct CapabilitySets {
  uint64_t bounding = 0;
  uint64_t effective = 0;
  uint64_t inheritable = 0;
  uint64_t permitted = 0;
  uint64_t ambient = 0;
};

// The number of "CAP_CHOWN", or nothing.
std::optional<unsigned> CapabilityFromName(std::string_view name);

// Unknown names go to unknown, as runc skips them with a warning. Nothing is implied: a set that the spec leaves empty
// stays empty, the inheritable set most of all (CVE-2022-29162).
CapabilitySets ParseCapabilities(const grpc::LinuxCapabilities& names, std::vector<std::string>* unknown);

// Drops from the bounding set what is not in it; needs CAP_SETPCAP, so it comes before the change of the user.
Result<> LimitBoundingSet(const CapabilitySets& sets);
// Sets the other four sets of the calling thread; after the change of the user, under PR_SET_KEEPCAPS. Those in
// until_exec stay permitted and effective as well: exec computes both anew, from the other sets, and takes them away.
Result<> ApplyCapabilities(const CapabilitySets& sets, uint64_t until_exec = 0);

}  // namespace kata::agent
