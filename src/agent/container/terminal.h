// SPDX-License-Identifier: Apache-2.0
// Makes a pseudo-terminal on the container's own devpts, from inside the container.
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

// Opens a pty through /dev/pts of root. The slave belongs to uid and has this size (0: the kernel's default).
// kInvalidArgument: /dev/pts is no devpts.
Result<Terminal> OpenTerminal(int root, uid_t uid, uint32_t rows, uint32_t columns);

// Bind-mounts the slave on /dev/console of root, and makes the mount point.
Result<> BindConsole(int root, int slave);

// Makes the slave the caller's controlling terminal and its stdin, stdout and stderr. The caller must lead a session
// without a terminal.
Result<> TakeTerminal(int slave);

}  // namespace kata::agent
