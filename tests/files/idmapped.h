// SPDX-License-Identifier: Apache-2.0
// An idmapped mount as the place of the other areas.
#pragma once

#include <functional>
#include <string>

namespace kata::files {

// Mounts directory on itself with mapped ids, and runs it as root of a user namespace with the same mapping. From
// inside it is as if nothing were mapped.
void InIdmappedMount(const std::string& directory, const std::function<void()>& function);

}  // namespace kata::files
