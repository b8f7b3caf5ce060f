// SPDX-License-Identifier: Apache-2.0
#include "fsd/xattr.h"

#include <gtest/gtest.h>

namespace kata::fsd {
namespace {

TEST(XattrNames, WhatIsTheSameOnBothSides) {
  for (const char* name : {"user.x", "user.katas", "security.capability", "system.posix_acl_access"}) {
    EXPECT_EQ(HostXattrName(name), name);
    EXPECT_EQ(GuestXattrName(name), name);
  }
}

TEST(XattrNames, TrustedAndOursHaveNamesOfTheirOwn) {
  for (const char* name :
       {"trusted.overlay.opaque", "user.kata.", "user.kata.trusted.overlay.opaque", "user.kata.user.kata.trusted.x"}) {
    const auto host = HostXattrName(name);
    ASSERT_TRUE(host.has_value());
    EXPECT_EQ(*host, std::string("user.kata.") + name);
    EXPECT_EQ(GuestXattrName(*host), name);
  }
}

TEST(XattrNames, APrefixIsForTheHostToRefuse) {
  EXPECT_EQ(HostXattrName("user."), "user.");
  EXPECT_EQ(HostXattrName("trusted."), "user.");
  EXPECT_EQ(GuestXattrName("user."), std::nullopt);
}

TEST(XattrNames, OthersAreNotSupported) {
  for (const char* name :
       {"", "x", "security.selinux", "security.ima", "system.nfs4_acl", "security.capability2", "btrfs.compression"}) {
    EXPECT_EQ(HostXattrName(name), std::nullopt) << name;
  }
  // What the host's own programs may have set.
  for (const char* name : {"trusted.overlay.opaque", "security.selinux", "user.kata.x", "user.kata.trusted."}) {
    EXPECT_EQ(GuestXattrName(name), std::nullopt) << name;
  }
}

}  // namespace
}  // namespace kata::fsd
