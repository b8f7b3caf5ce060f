// SPDX-License-Identifier: Apache-2.0
#include "fsd/xattr.h"

namespace kata::fsd {
namespace {

constexpr std::string_view kUser = "user.";
constexpr std::string_view kOurs = "user.kata.";
constexpr std::string_view kTrusted = "trusted.";

// A name of nothing but its prefix is none.
bool Within(std::string_view name, std::string_view prefix) {
  return name.starts_with(prefix) && name.size() > prefix.size();
}

bool IsSame(std::string_view name) { return name == "security.capability" || IsAcl(name); }

}  // namespace

bool IsAcl(std::string_view name) { return name == "system.posix_acl_access" || name == "system.posix_acl_default"; }

std::optional<std::string> HostXattrName(std::string_view guest) {
  // A prefix alone is no name: let the host say so.
  if (guest == kUser || guest == kTrusted) return std::string(kUser);
  if (Within(guest, kTrusted) || guest.starts_with(kOurs)) return std::string(kOurs).append(guest);
  if (Within(guest, kUser) || IsSame(guest)) return std::string(guest);
  return std::nullopt;
}

std::optional<std::string> GuestXattrName(std::string_view host) {
  if (host.starts_with(kOurs)) {
    const std::string_view rest = host.substr(kOurs.size());
    if (Within(rest, kTrusted) || rest.starts_with(kOurs)) return std::string(rest);
    return std::nullopt;
  }
  if (Within(host, kUser) || IsSame(host)) return std::string(host);
  return std::nullopt;
}

}  // namespace kata::fsd
