// SPDX-License-Identifier: Apache-2.0
#include "base/security_module.h"

#include <unistd.h>

#include <algorithm>

#include "base/files.h"
#include "base/log.h"

namespace kata {
namespace {

constexpr size_t kMostProfiles = 4U << 20U;  // bytes of the list

// Whether the kernel has the profile. The list, and not a try to enter it: the kernel logs each try that fails.
Result<bool> IsLoaded(const std::string& profile, const SecurityFiles& files) {
  const std::string list =
      TRY(Context(ReadFile(files.apparmor_profiles, kMostProfiles), "cannot list AppArmor's profiles"));
  const std::string entry = profile + " (";
  for (std::string_view rest = list; !rest.empty();) {
    if (rest.starts_with(entry)) return true;
    rest.remove_prefix(std::min(rest.find('\n'), rest.size() - 1) + 1);
  }
  return false;
}

// Whether the profile is to be entered.
Result<bool> IsWanted(std::string_view use, const std::string& profile, const SecurityFiles& files) {
  if (use == "off") return false;
  const auto enabled = ReadFile(files.apparmor_enabled, 16);
  const bool on = enabled && enabled->starts_with('Y');
  if (on) {
    auto loaded = IsLoaded(profile, files);
    if (!loaded && loaded.error().code() == Code::kNotFound && use != "on") {
      log::Warn("{} (is securityfs mounted?): {} is not entered", loaded.error().message(), profile);
      return false;
    }
    if (TRY(std::move(loaded))) return true;
  }
  if (use != "on") return false;
  return Fail(Code::kFailedPrecondition, "apparmor = \"on\", but {}",
              on ? fmt::format("the profile {} is not loaded: apparmor_parser -r /etc/apparmor.d/kata-*", profile)
                 : "this host's kernel has no AppArmor, or it is off");
}

// The directory is there from Linux 5.1 on. Before, the attributes of all modules are in one.
std::string ProfileFile(const SecurityFiles& files, const char* name) {
  std::string own = fmt::format("{}/apparmor/{}", files.attributes, name);
  return access(own.c_str(), F_OK) == 0 ? own : fmt::format("{}/{}", files.attributes, name);
}

}  // namespace

Result<std::optional<ExecLabel>> ProfileAtExec(std::string_view use, const std::string& profile,
                                               const SecurityFiles& files) {
  if (!TRY(IsWanted(use, profile, files))) return std::nullopt;
  return ExecLabel{.file = ProfileFile(files, "exec"), .line = "exec " + profile};
}

Result<> EnterProfile(std::string_view use, const std::string& profile, const SecurityFiles& files) {
  if (!TRY(IsWanted(use, profile, files))) return {};
  return Context(WriteFile(ProfileFile(files, "current"), "changeprofile " + profile),
                 "cannot enter AppArmor's profile {}", profile);
}

bool HasSelinux(const SecurityFiles& files) { return access(files.selinux.c_str(), F_OK) == 0; }

std::optional<ExecLabel> SelinuxAtExec(const std::string& label, const SecurityFiles& files) {
  if (label.empty() || !HasSelinux(files)) return std::nullopt;
  return ExecLabel{.file = files.attributes + "/exec", .line = label};
}

}  // namespace kata
