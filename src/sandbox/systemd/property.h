// SPDX-License-Identifier: Apache-2.0
// Properties of a unit, as StartTransientUnit takes them, and those that a bundle's annotations ask for.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"

namespace kata::sandbox {

struct Property {
  using Value = std::variant<bool, int64_t, uint64_t, double, std::string, std::vector<std::string>,
                             std::vector<uint32_t>, std::vector<uint8_t>>;
  std::string name;
  std::string type;  // D-Bus: one of "b", "y", "n", "q", "i", "u", "x", "t", "d", "s", "as", "au", "ay"
  Value value;
};

// The properties that annotations "org.systemd.property.NAME" ask for: engines set KillSignal and TimeoutStopUSec in
// this way. As with runc a value is GVariant text ("uint64 10000000", "'inactive-or-failed'"; a number without a type
// is an int32), and "TimeoutStopSec" is in seconds. kInvalidArgument: a malformed name or value, a type that is not
// known here, or a property that concerns more than the unit itself, such as FailureAction.
Result<std::vector<Property>> PropertiesOf(const std::map<std::string, std::string>& annotations);

}  // namespace kata::sandbox
