// SPDX-License-Identifier: Apache-2.0
// The five capability sets of a process (capabilities(7)): parses the names in the spec and applies the sets.
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

// The number of a capability such as "CAP_CHOWN"; nullopt for an unknown name.
std::optional<unsigned> CapabilityFromName(std::string_view name);

// Appends unknown names to unknown; the caller warns about them, as runc does. No set is derived from another: a set
// that is empty in the spec stays empty, above all the inheritable set (CVE-2022-29162).
CapabilitySets ParseCapabilities(const grpc::LinuxCapabilities& names, std::vector<std::string>* unknown);

// Drops all capabilities that are not in sets.bounding from the caller's bounding set. Needs CAP_SETPCAP, so the caller
// does this before it changes its user.
Result<> LimitBoundingSet(const CapabilitySets& sets);
// Sets the other four sets of the calling thread, after the change of the user, which must happen under
// PR_SET_KEEPCAPS. The capabilities in until_exec are permitted and effective until the next execve(2), which computes
// both sets anew. Capabilities that the kernel does not know are left out, and so are ambient ones that are not both
// permitted and inheritable.
Result<> ApplyCapabilities(const CapabilitySets& sets, uint64_t until_exec = 0);

}  // namespace kata::agent
