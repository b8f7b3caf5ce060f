// SPDX-License-Identifier: Apache-2.0
// A pseudo-terminal of the container's own devpts, made from inside.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "base/result.h"
#include "base/unique_fd.h"

namespace kata::agent {

struct Terminal {
  UniqueFd master;
  UniqueFd slave;
};

// Opens a pair through root's /dev/pts, verified to be a devpts, owned by uid, with this size (0: the kernel's).
Result<Terminal> OpenTerminal(int root, uid_t uid, uint32_t rows, uint32_t columns);

// Binds the slave on root's /dev/console.
Result<> BindConsole(int root, int slave);

// Makes the slave the controlling terminal of the caller's new session, and its stdin, stdout and stderr.
Result<> TakeTerminal(int slave);

}  // namespace kata::agent
