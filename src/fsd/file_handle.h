// SPDX-License-Identifier: Apache-2.0
// A file handle (open_by_handle_at(2)): names a file of a file system without keeping it open, and never another that
// has got its number meanwhile.
#pragma once

#include <array>
#include <cstdint>

#include "base/unique_fd.h"

namespace kata::fsd {

class FileHandle {
 public:
  FileHandle() = default;
  // The handle of what `name` is in a directory (a symbolic link itself), or of `directory` itself if the name is
  // empty. An empty one: the file system has none, or longer ones than we keep.
  static FileHandle Of(int directory, const char* name);

  explicit operator bool() const { return length_ > 0; }
  bool operator==(const FileHandle&) const = default;

  // Opens the file in the mount of `anchor`, which must not be O_PATH. ESTALE: the file has been removed.
  UniqueFd Open(int anchor, int flags) const;

 private:
  // Enough for ext4, XFS, Btrfs, tmpfs, f2fs and ZFS.
  static constexpr size_t kMax = 24;

  std::array<unsigned char, kMax> bytes_ = {};
  int type_ = 0;
  uint8_t length_ = 0;
};

}  // namespace kata::fsd
