// SPDX-License-Identifier: Apache-2.0
// The names of extended attributes: what the guest calls them, and what they are on the host.
//
// user.*, security.capability and ACLs are the same on both sides. trusted.* means something to the host's kernel, as
// an overlay's opaque directories do, and needs CAP_SYS_ADMIN there; so the guest's are user.kata.trusted.* on the
// host. The guest's own user.kata.* becomes user.kata.user.kata.*: each name of the guest has one of the host, so
// nobody in the guest can write a trusted attribute by its name on the host, and a guest can be the host of another.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace kata::fsd {

// The host's name; nothing: such attributes are not supported (EOPNOTSUPP).
std::optional<std::string> HostXattrName(std::string_view guest);
// The guest's name of an attribute that the host lists; nothing: the guest does not see it.
std::optional<std::string> GuestXattrName(std::string_view host);

// Whether the name is that of an ACL.
bool IsAcl(std::string_view name);

}  // namespace kata::fsd
