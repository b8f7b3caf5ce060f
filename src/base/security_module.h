// SPDX-License-Identifier: Apache-2.0
// The kernel's security modules: the profile of AppArmor or the label of SELinux with which this process, or a program
// that it starts, runs on. No library of theirs is needed: each is one line, written into a file of /proc.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace kata {

// The profiles of packaging/apparmor.
inline constexpr char kQemuProfile[] = "kata-qemu";
inline constexpr char kFsdProfile[] = "kata-fsd";
inline constexpr char kVirtiofsdProfile[] = "kata-virtiofsd";
inline constexpr char kSandboxProfile[] = "kata-sandbox";
inline constexpr char kShimProfile[] = "kata-shim";

// What a program is given right before its exec (Command::labels).
struct ExecLabel {
  std::string file;  // below /proc/thread-self/attr (proc_pid_attr(5))
  std::string line;

  bool operator==(const ExecLabel&) const = default;
};

// Where the kernel tells of its modules, and is told. Tests have files of their own.
struct SecurityFiles {
  std::string apparmor_enabled = "/sys/module/apparmor/parameters/enabled";  // "Y" or "N"
  std::string apparmor_profiles = "/sys/kernel/security/apparmor/profiles";  // "NAME (MODE)" in each line
  std::string attributes = "/proc/thread-self/attr";
  std::string selinux = "/sys/fs/selinux/status";  // exists where a policy of SELinux is loaded
};

// The profile of AppArmor that a program gets at its exec. use: "auto" gives none where AppArmor is off or has no such
// profile, and none with a warning where the profiles cannot be listed; "on" fails there with kFailedPrecondition or
// kNotFound; "off" never gives one.
Result<std::optional<ExecLabel>> ProfileAtExec(std::string_view use, const std::string& profile,
                                               const SecurityFiles& files = {});

// The calling thread enters the profile, for good; threads and processes that it makes later are in it as well. use: as
// for ProfileAtExec. kPermissionDenied: the profile in which the thread is already does not allow it, or no_new_privs
// is set there.
Result<> EnterProfile(std::string_view use, const std::string& profile, const SecurityFiles& files = {});

// Whether a policy of SELinux is loaded.
bool HasSelinux(const SecurityFiles& files = {});

// The label of SELinux that a program gets at its exec. None: the label is empty, or the host has no SELinux.
std::optional<ExecLabel> SelinuxAtExec(const std::string& label, const SecurityFiles& files = {});

}  // namespace kata
