// SPDX-License-Identifier: Apache-2.0
#include "agent/storage/guest_dir.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/storage/temp_dir_test.h"
#include "base/files.h"

namespace kata::agent {
namespace {

class GuestDirTest : public TempDirTest {};

TEST_F(GuestDirTest, MakesDirectoriesBelowIt) {
  ASSERT_TRUE(root().MakeDirs(path() + "/a//b/./c", 0700));
  struct stat status {};
  ASSERT_EQ(stat((path() + "/a/b/c").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0700U);
  ASSERT_TRUE(root().MakeDirs(path() + "/a/b/c", 0755)) << "an existing directory is fine";
}

TEST_F(GuestDirTest, RefusesWhatIsNotBelowIt) {
  for (const std::string& bad :
       {std::string("/etc/passwd"), path(), path() + "/", path() + "x/y", path() + "/../x", path() + "/a/../../x",
        std::string("relative"), std::string(), path() + "/" + std::string(5000, 'x'), path() + "/a" + '\0' + "b"}) {
    auto made = root().MakeDirs(bad, 0755);
    ASSERT_FALSE(made) << bad;
    EXPECT_EQ(made.error().code(), Code::kInvalidArgument) << bad;
    EXPECT_FALSE(root().Find(bad, true)) << bad;
    EXPECT_FALSE(root().OpenExisting(bad, O_PATH)) << bad;
  }
}

TEST_F(GuestDirTest, FollowsNoLink) {
  ASSERT_EQ(symlink(outside().c_str(), (path() + "/link").c_str()), 0);
  EXPECT_FALSE(root().MakeDirs(path() + "/link/a", 0755));
  EXPECT_FALSE(root().MakeDirs(path() + "/link", 0755));
  EXPECT_FALSE(root().Find(path() + "/link/a", true));
  EXPECT_FALSE(root().OpenExisting(path() + "/link", O_RDONLY));
  EXPECT_NE(access((outside() + "/a").c_str(), F_OK), 0) << "nothing was made behind the link";
}

TEST_F(GuestDirTest, FindMakesParentsOnlyWhenAsked) {
  EXPECT_FALSE(root().Find(path() + "/p/q", false));
  auto place = root().Find(path() + "/p/q", true);
  ASSERT_TRUE(place);
  EXPECT_EQ(place->name, "q");
  ASSERT_TRUE(WriteFileAtomic(Open(FdPath(place->parent.get()), O_RDONLY | O_DIRECTORY)->get(), "q", "here", 0600));
  EXPECT_EQ(*ReadFile(path() + "/p/q"), "here");
  EXPECT_TRUE(*root().Owns(*place));
}

}  // namespace
}  // namespace kata::agent
