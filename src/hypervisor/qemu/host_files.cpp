// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/qemu/host_files.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/files.h"

namespace kata::hypervisor::qemu {

GuestFile KernelOf(const config::HypervisorConfig& config) {
  if (config.kernel_flavour == "minimal") {
    return {"kernel", config.kernel,
            fmt::format("build it with guest/kernel/build.sh, or set kernel in [{}]", config.Table())};
  }
  return {
      "kernel", config.KernelFile(),
      fmt::format("kernel_flavour = \"{0}\" needs it, and `make kernel-{0} install` brings it", config.kernel_flavour)};
}

GuestFile InitrdOf(const config::HypervisorConfig& config) {
  return {"initrd", config.initrd,
          fmt::format("build it with guest/initrd/build.sh, or set initrd in [{}]", config.Table())};
}

Result<UniqueFd> TryGuestFile(const GuestFile& file) {
  auto fd = Open(file.path, O_RDONLY | O_NONBLOCK);
  if (!fd) return Fail(fd.error().code(), "the guest's {} cannot be used: {}", file.what, fd.error().message());
  struct stat info;
  if (fstat(fd->get(), &info) != 0) return FailErrno("the guest's {} cannot be used: {}", file.what, file.path);
  if (!S_ISREG(info.st_mode) || info.st_size == 0) {
    return Fail(Code::kFailedPrecondition, "the guest's {} cannot be used: {} is {}", file.what, file.path,
                S_ISREG(info.st_mode) ? "empty" : "not a regular file");
  }
  if ((info.st_mode & S_IROTH) == 0) {
    return Fail(Code::kPermissionDenied,
                "the guest's {} cannot be used: {} is not readable for everyone, and QEMU runs as an unprivileged "
                "user; chmod a+r it",
                file.what, file.path);
  }
  return fd;
}

Result<UniqueFd> OpenGuestFile(const GuestFile& file) {
  auto fd = TryGuestFile(file);
  if (!fd && fd.error().code() == Code::kNotFound) {
    return Fail(Code::kNotFound, "{}; {}", fd.error().message(), file.advice);
  }
  return fd;
}

std::string Firmware(const config::HypervisorConfig& config) {
  if (!config.firmware.empty()) return config.firmware;
  // 50 ms faster than SeaBIOS, which looks for disks to boot from.
  constexpr const char* kQboot = "/usr/share/qemu/qboot.rom";
  return config.machine_type == "q35" && access(kQboot, R_OK) == 0 ? "qboot.rom" : "";
}

}  // namespace kata::hypervisor::qemu
