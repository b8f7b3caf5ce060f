// SPDX-License-Identifier: Apache-2.0
// Which of the flags of a guest's open(2) the host's file is opened with.
#pragma once

#include <fcntl.h>

#include <cstdint>

namespace kata::fsd {

// The others are the guest's kernel's matter, or harmful:
// - O_APPEND would move the pages of a mapping that the guest writes back to the end of the file; each write says
//   whether it appends (RWF_APPEND).
// - O_DIRECT has rules for the memory that the guest's does not keep; the guest's own cache is bypassed already.
// - O_SYNC and O_DSYNC: the guest follows such a write with FSYNC; without a cache it does not, and the write says it
//   itself (RWF_SYNC, RWF_DSYNC).
inline int HostOpenFlags(uint32_t guest) {
  int flags = static_cast<int>(guest) & (O_TRUNC | O_NOATIME);
  const int mode = static_cast<int>(guest) & O_ACCMODE;
  // 3 asks for neither reading nor writing, but for the rights to both.
  return flags | (mode == O_ACCMODE ? O_RDWR : mode);
}

}  // namespace kata::fsd
