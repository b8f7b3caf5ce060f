// SPDX-License-Identifier: Apache-2.0
#include "fsd/descriptor_reserve.h"

#include <fcntl.h>
#include <sys/resource.h>

#include <algorithm>
#include <limits>

#include "base/unique_fd.h"

namespace kata::fsd {
namespace {

// Each thread needs a few at a time, and there are mostly at most 16.
constexpr rlim_t kReserve = 256;

}  // namespace

DescriptorReserve::DescriptorReserve() {
  rlimit files = {};
  if (getrlimit(RLIMIT_NOFILE, &files) != 0) files.rlim_cur = RLIM_INFINITY;
  const auto limit = std::min<rlim_t>(files.rlim_cur, std::numeric_limits<int>::max());
  const rlim_t reserve = std::min(limit / 4, kReserve);
  room_ = static_cast<int>(limit - reserve);
  most_ = static_cast<int>(limit - reserve / 2);
}

bool DescriptorReserve::HasRoom(int fd) const {
  const UniqueFd next(fcntl(fd, F_DUPFD_CLOEXEC, 0));
  return next && next.get() < room_;
}

}  // namespace kata::fsd
