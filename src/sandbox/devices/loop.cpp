// SPDX-License-Identifier: Apache-2.0
#include "sandbox/devices/loop.h"

#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "base/files.h"

namespace kata::sandbox {

Result<UniqueFd> AttachLoop(const std::string& file, bool read_only) {
  const int mode = read_only ? O_RDONLY : O_RDWR;
  const UniqueFd image = TRY(Open(file, mode | O_NONBLOCK | O_NOCTTY));
  struct stat status {};
  if (fstat(image.get(), &status) != 0) return FailErrno("cannot look at {}", file);
  if (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode)) {
    return Fail(Code::kInvalidArgument, "{} is no image: neither a regular file nor a block device", file);
  }
  const UniqueFd control = TRY(Open("/dev/loop-control", O_RDWR));
  // Others may look for a free device at the same time; only one of them gets it, and the rest try again.
  for (int attempt = 0; attempt < 64; ++attempt) {
    const int number = ioctl(control.get(), LOOP_CTL_GET_FREE);
    if (number < 0) return FailErrno("cannot find a free loop device for {}", file);
    UniqueFd device = TRY(Open(fmt::format("/dev/loop{}", number), mode));
    loop_config config{};
    config.fd = static_cast<uint32_t>(image.get());
    config.info.lo_flags = LO_FLAGS_AUTOCLEAR;
    if (read_only) config.info.lo_flags |= LO_FLAGS_READ_ONLY;
    if (ioctl(device.get(), LOOP_CONFIGURE, &config) == 0) return device;
    if (errno != EBUSY) return FailErrno("cannot attach {} to a loop device", file);
  }
  return Fail(Code::kResourceExhausted, "no loop device stays free for {}", file);
}

}  // namespace kata::sandbox
