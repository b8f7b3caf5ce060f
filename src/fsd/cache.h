// SPDX-License-Identifier: Apache-2.0
// What the guest may keep of files and names (virtio_fs_cache in docs/kata-runtime.md).
#pragma once

namespace kata::fsd {

// And how long it may believe names and attributes, unless a time-out is given.
enum class Cache {
  kNever,   // no pages; it asks each time
  kAuto,    // pages until an open shows that others have written; a second
  kAlways,  // all: nobody else changes the files; a day
};

}  // namespace kata::fsd
