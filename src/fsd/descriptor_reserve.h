// SPDX-License-Identifier: Apache-2.0
// Keeps some of the descriptors that this process may have (RLIMIT_NOFILE) for requests that need one for a moment. All
// containers of a guest share them: a process that opens as many files as it can must not keep the others from looking
// at theirs, and from removing some.
//
// How many are in use is not counted: a new descriptor gets the lowest number that is free, which tells it.
#pragma once

namespace kata::fsd {

class DescriptorReserve {
 public:
  // Of the limit as it is now: 256, or a quarter of it if that is less.
  DescriptorReserve();

  // Whether the guest may open one more file. fd: any descriptor.
  bool HasRoom(int fd) const;
  // Whether a new descriptor may be kept that would do no harm if it were closed: a cache may not have the reserve.
  bool MayCache(int fd) const { return fd < room_; }
  // Whether a new descriptor may be kept that a file needs whose last name has gone: these may have half of the
  // reserve.
  bool MayKeep(int fd) const { return fd < most_; }

 private:
  int room_;
  int most_;
};

}  // namespace kata::fsd
