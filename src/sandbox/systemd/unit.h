// SPDX-License-Identifier: Apache-2.0
// The unit of a container in systemd, as linux.cgroupsPath names it.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace kata::sandbox {

// A scope, and the slice that it is in.
struct Unit {
  std::string name;   // "libpod-abc.scope"
  std::string slice;  // "machine.slice"
};

// Whether a cgroupsPath has systemd's form, slice:prefix:name.
bool HasUnitForm(std::string_view cgroups_path);

// The unit that a cgroupsPath of this form means; an empty path means "kata-ID.scope". Without a slice it is in
// system.slice. kInvalidArgument: another form, a name that systemd does not take, or a slice in the place of a scope.
Result<Unit> ParseUnit(const std::string& cgroups_path, const std::string& id);

// The unit's cgroup, from the mount point of the cgroups on: "user-1.slice" is in "user.slice" (systemd.slice(5)).
std::string CgroupOf(const Unit& unit);

}  // namespace kata::sandbox
