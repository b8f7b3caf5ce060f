// SPDX-License-Identifier: Apache-2.0
// The scope of a sandbox in the host's systemd (systemd.scope(5)). libsystemd is used in short-lived children of this
// process only: those who call may live as long as a container, and none of its memory is to stay with them.
#pragma once

#include <string>
#include <vector>

#include "base/child.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "sandbox/systemd/property.h"
#include "sandbox/systemd/unit.h"

namespace kata::sandbox {

// Whether systemd is this host's init (sd_booted(3)).
bool SystemdRuns();

// A scope that is wanted.
struct Scope {
  Unit unit;
  std::string id;                    // the container's
  std::vector<Property> properties;  // what the bundle asks for (PropertiesOf)
  double timeout_factor = 1;         // scales the 30 seconds that systemd has to answer
};

// A process in a scope, which systemd would remove if it were empty. To be kept until others have entered the scope's
// cgroups; it ends with this object, or with this process.
struct ScopeHolder {
  UniqueFd connection;
  Child process;
};

// Asks systemd for a scope with delegated cgroups and accounting. The calling process must have only one thread.
// kAlreadyExists: there is such a unit, and somebody else has it. kDeadlineExceeded: no answer. kUnavailable: systemd
// cannot be reached. kAborted: it refused. After an error there is no scope, or an empty one that systemd removes.
Result<ScopeHolder> StartScope(const Scope& scope);

// Changes properties of the scope of this container until it ends. kNotFound: there is none. Other errors as for
// StartScope; systemd has 30 seconds to answer.
Result<> SetScopeProperties(const std::string& unit, const std::string& id, const std::vector<Property>& properties);

// Stops the scope of this container, and makes systemd forget it if it had failed. Another's unit of the same name
// stays. It is no error if systemd does not know it. Errors as for StartScope; systemd has 30 seconds to answer.
Result<> StopScope(const std::string& unit, const std::string& id);

}  // namespace kata::sandbox
