// SPDX-License-Identifier: Apache-2.0
#include "fsd/mount_place.h"

#include <gtest/gtest.h>

namespace kata::fsd {
namespace {

MountPlace Place(std::string root, std::map<std::string, std::string> covered = {}) {
  return {.device = "8:1", .root = std::move(root), .covered = std::move(covered)};
}

TEST(MountPlace, OfMountinfo) {
  const auto mounts = ParseMountInfo(
      "20 1 0:30 / / ro,nodev - tmpfs shared rw\n"
      "21 20 8:1 /srv/x /a\\040b rw,nodev shared:1 - ext4 /dev/sda1 rw\n"
      "22 21 8:1 /other /a\\040b/sub/deep rw - ext4 /dev/sda1 rw\n"
      "23 21 0:31 / /a\\040b/tmp rw - tmpfs tmp rw\n"
      "24 23 0:31 / /a\\040b/tmp/more rw - tmpfs tmp rw\n"
      "25 20 8:1 /gone//deleted /gone rw - ext4 /dev/sda1 rw\n"
      "nonsense\n\n26 x 8:1 / / rw\n");
  ASSERT_EQ(mounts.size(), 6U);
  const auto place = PlaceOf(21, mounts);
  ASSERT_TRUE(place.has_value());
  EXPECT_EQ(place->device, "8:1");
  EXPECT_EQ(place->root, "/srv/x");
  EXPECT_EQ(place->covered,
            (std::map<std::string, std::string>{{"/srv/x/sub/deep", "8:1 /other"}, {"/srv/x/tmp", "0:31 /"}}));
  EXPECT_EQ(PlaceOf(20, mounts)->covered.size(), 2U);
  EXPECT_TRUE(PlaceOf(20, mounts)->covered.contains("/a b"));
  EXPECT_FALSE(PlaceOf(25, mounts).has_value());
  EXPECT_FALSE(PlaceOf(99, mounts).has_value());
}

TEST(MountPlace, MountsAgreeWhereNothingIsHiddenInOne) {
  EXPECT_TRUE(Agree(Place("/x"), Place("/x")));
  EXPECT_TRUE(Agree(Place("/x"), Place("/x/sub")));
  EXPECT_TRUE(Agree(Place("/x"), Place("/y")));
  EXPECT_FALSE(Agree(Place("/x", {{"/x/sub", "0:31 /"}}), Place("/x")));
  EXPECT_FALSE(Agree(Place("/"), Place("/x", {{"/x/sub", "0:31 /"}})));
  // The same in both.
  EXPECT_TRUE(Agree(Place("/x", {{"/x/sub", "0:31 /"}}), Place("/x", {{"/x/sub", "0:31 /"}})));
  EXPECT_FALSE(Agree(Place("/x", {{"/x/sub", "0:31 /"}}), Place("/x", {{"/x/sub", "0:32 /"}})));
  // What one hides is not in the other, or is its root: the directory above is not.
  EXPECT_TRUE(Agree(Place("/x", {{"/x/sub", "0:31 /"}}), Place("/x/sub")));
  EXPECT_TRUE(Agree(Place("/x", {{"/x/sub", "0:31 /"}}), Place("/x/other")));
  EXPECT_TRUE(Agree(Place("/x", {{"/x/sub", "0:31 /"}}), Place("/x/subway")));
  MountPlace other = Place("/x");
  other.device = "8:2";
  EXPECT_FALSE(Agree(Place("/x"), other));
}

TEST(MountPlace, AMountContainsAnother) {
  EXPECT_TRUE(Contains(Place("/"), Place("/x")));
  EXPECT_TRUE(Contains(Place("/x"), Place("/x")));
  EXPECT_TRUE(Contains(Place("/x"), Place("/x/sub")));
  EXPECT_FALSE(Contains(Place("/x/sub"), Place("/x")));
  EXPECT_FALSE(Contains(Place("/x"), Place("/xy")));
  EXPECT_FALSE(Contains(Place("/x", {{"/x/sub", "0:31 /"}}), Place("/x/sub")));
  EXPECT_FALSE(Contains(Place("/x", {{"/x/sub", "0:31 /"}}), Place("/x/sub/deeper")));
  EXPECT_TRUE(Contains(Place("/x", {{"/x/sub", "0:31 /"}}), Place("/x/other")));
}

}  // namespace
}  // namespace kata::fsd
