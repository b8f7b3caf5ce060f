// SPDX-License-Identifier: Apache-2.0
#include "fsd/shown_tree.h"

#include <gtest/gtest.h>

namespace kata::fsd {
namespace {

ShownTree Tree(std::string root, std::map<std::string, std::string> covered = {}) {
  return {.device = "8:1", .root = std::move(root), .covered = std::move(covered)};
}

TEST(ShownTree, OfMountinfo) {
  const auto mounts = ParseMountInfo(
      "20 1 0:30 / / ro,nodev - tmpfs shared rw\n"
      "21 20 8:1 /srv/x /a\\040b rw,nodev shared:1 - ext4 /dev/sda1 rw\n"
      "22 21 8:1 /other /a\\040b/sub/deep rw - ext4 /dev/sda1 rw\n"
      "23 21 0:31 / /a\\040b/tmp rw - tmpfs tmp rw\n"
      "24 23 0:31 / /a\\040b/tmp/more rw - tmpfs tmp rw\n"
      "25 20 8:1 /gone//deleted /gone rw - ext4 /dev/sda1 rw\n"
      "nonsense\n\n26 x 8:1 / / rw\n");
  ASSERT_EQ(mounts.size(), 6U);
  const auto tree = ShownTreeOf(21, mounts);
  ASSERT_TRUE(tree.has_value());
  EXPECT_EQ(tree->device, "8:1");
  EXPECT_EQ(tree->root, "/srv/x");
  EXPECT_EQ(tree->covered,
            (std::map<std::string, std::string>{{"/srv/x/sub/deep", "8:1 /other"}, {"/srv/x/tmp", "0:31 /"}}));
  EXPECT_EQ(ShownTreeOf(20, mounts)->covered.size(), 2U);
  EXPECT_TRUE(ShownTreeOf(20, mounts)->covered.contains("/a b"));
  EXPECT_FALSE(ShownTreeOf(25, mounts).has_value());
  EXPECT_FALSE(ShownTreeOf(99, mounts).has_value());
}

TEST(ShownTree, MountsAgreeWhereNothingIsHiddenInOne) {
  EXPECT_TRUE(Agree(Tree("/x"), Tree("/x")));
  EXPECT_TRUE(Agree(Tree("/x"), Tree("/x/sub")));
  EXPECT_TRUE(Agree(Tree("/x"), Tree("/y")));
  EXPECT_FALSE(Agree(Tree("/x", {{"/x/sub", "0:31 /"}}), Tree("/x")));
  EXPECT_FALSE(Agree(Tree("/"), Tree("/x", {{"/x/sub", "0:31 /"}})));
  // The same in both.
  EXPECT_TRUE(Agree(Tree("/x", {{"/x/sub", "0:31 /"}}), Tree("/x", {{"/x/sub", "0:31 /"}})));
  EXPECT_FALSE(Agree(Tree("/x", {{"/x/sub", "0:31 /"}}), Tree("/x", {{"/x/sub", "0:32 /"}})));
  // What one hides is not in the other, or is its root: the directory above is not.
  EXPECT_TRUE(Agree(Tree("/x", {{"/x/sub", "0:31 /"}}), Tree("/x/sub")));
  EXPECT_TRUE(Agree(Tree("/x", {{"/x/sub", "0:31 /"}}), Tree("/x/other")));
  EXPECT_TRUE(Agree(Tree("/x", {{"/x/sub", "0:31 /"}}), Tree("/x/subway")));
  ShownTree other = Tree("/x");
  other.device = "8:2";
  EXPECT_FALSE(Agree(Tree("/x"), other));
}

TEST(ShownTree, AMountContainsAnother) {
  EXPECT_TRUE(Contains(Tree("/"), Tree("/x")));
  EXPECT_TRUE(Contains(Tree("/x"), Tree("/x")));
  EXPECT_TRUE(Contains(Tree("/x"), Tree("/x/sub")));
  EXPECT_FALSE(Contains(Tree("/x/sub"), Tree("/x")));
  EXPECT_FALSE(Contains(Tree("/x"), Tree("/xy")));
  EXPECT_FALSE(Contains(Tree("/x", {{"/x/sub", "0:31 /"}}), Tree("/x/sub")));
  EXPECT_FALSE(Contains(Tree("/x", {{"/x/sub", "0:31 /"}}), Tree("/x/sub/deeper")));
  EXPECT_TRUE(Contains(Tree("/x", {{"/x/sub", "0:31 /"}}), Tree("/x/other")));
}

}  // namespace
}  // namespace kata::fsd
