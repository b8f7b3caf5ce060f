// SPDX-License-Identifier: Apache-2.0
#include "agent/user.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/storage/temp_dir_test.h"
#include "base/files.h"

namespace kata::agent {
namespace {

class UserTest : public TempDirTest {
 protected:
  UserTest() {
    EXPECT_EQ(mkdir((path() + "/etc").c_str(), 0755), 0);
    Put("passwd",
        "root:x:0:0:root:/root:/bin/sh\nbroken\nnoid:x::5::\nweb:x:1001:1002:,,,:/:/bin/false\n"
        "huge:x:4294967295:0::/:\nlast:x:7:8::/:");
    Put("group", "root:x:0:\nstaff:x:50:web\nwheel:x:10:\n");
    rootfs_ = *Open(path(), O_PATH | O_DIRECTORY);
  }

  void Put(const std::string& name, const std::string& text) const {
    EXPECT_TRUE(WriteFileAtomic(Open(path() + "/etc", O_RDONLY | O_DIRECTORY)->get(), name, text, 0644));
  }

  Result<grpc::User> Resolve(const std::string& uid, const std::string& gid = "",
                             const std::vector<std::string>& more = {}) const {
    grpc::StringUser names;
    names.set_uid(uid);
    names.set_gid(gid);
    for (const auto& name : more) names.add_additionalgids(name);
    grpc::User user;
    auto resolved = ResolveUser(rootfs_.get(), names, user);
    if (!resolved) return tl::unexpected<Error>(resolved.error());
    return user;
  }

  UniqueFd rootfs_;
};

TEST_F(UserTest, NamesAndNumbers) {
  EXPECT_EQ(Resolve("web")->uid(), 1001U);
  EXPECT_EQ(Resolve("web")->gid(), 1002U);
  EXPECT_EQ(Resolve("last")->gid(), 8U) << "without a newline at the end";
  EXPECT_EQ(Resolve("web", "staff")->gid(), 50U);
  EXPECT_EQ(Resolve("77")->uid(), 77U);
  EXPECT_EQ(Resolve("77")->gid(), 0U);
  const auto user = Resolve("web", "5", {"wheel", "123"});
  ASSERT_TRUE(user);
  EXPECT_EQ(user->additionalgids(0), 10U);
  EXPECT_EQ(user->additionalgids(1), 123U);
}

TEST_F(UserTest, NamesOfNumbers) {
  Put("passwd", "root:x:0:0:root:/root:/bin/sh\nbroken\nweb:x:1001:1002:::\nalias:x:1001:5:::\nlast:x:7:8::/:");
  const UserNames names(rootfs_.get());
  EXPECT_EQ(names.User(0), "root");
  EXPECT_EQ(names.User(1001), "web") << "the first counts, as with getpwuid";
  EXPECT_EQ(names.User(7), "last");
  EXPECT_EQ(names.User(1), "");
  EXPECT_EQ(names.Group(50), "staff");
  ASSERT_EQ(mkfifo((path() + "/etc/fifo").c_str(), 0600), 0);
  ASSERT_EQ(rename((path() + "/etc/fifo").c_str(), (path() + "/etc/passwd").c_str()), 0);
  EXPECT_EQ(UserNames(rootfs_.get()).User(0), "") << "no regular file";
}

TEST_F(UserTest, WhoIsMissingIsNamed) {
  for (const char* name : {"nobody-here", "broken", "noid", "huge", "we", "4294967295", "-1", "0x10"}) {
    const auto user = Resolve(name);
    ASSERT_FALSE(user) << name;
    EXPECT_EQ(user.error().code(), Code::kNotFound);
    EXPECT_NE(user.error().message().find(name), std::string::npos) << user.error().message();
  }
  EXPECT_EQ(Resolve("web", "nogroup").error().code(), Code::kNotFound);
}

TEST_F(UserTest, HostileFilesAreRefused) {
  const std::string passwd = path() + "/etc/passwd";
  ASSERT_EQ(unlink(passwd.c_str()), 0);
  ASSERT_EQ(mkfifo(passwd.c_str(), 0644), 0);
  EXPECT_FALSE(Resolve("web")) << "a FIFO does not stop the agent";
  ASSERT_EQ(unlink(passwd.c_str()), 0);
  // A symbolic link is followed inside the rootfs, and cannot leave it.
  ASSERT_EQ(symlink((outside() + "/passwd").c_str(), passwd.c_str()), 0);
  ASSERT_TRUE(WriteFileAtomic(Open(outside(), O_RDONLY | O_DIRECTORY)->get(), "passwd", "web:x:666:666::/:\n", 0644));
  EXPECT_FALSE(Resolve("web"));
  ASSERT_EQ(unlink(passwd.c_str()), 0);
  Put("passwd", std::string(2U << 20U, 'x'));
  EXPECT_FALSE(Resolve("web")) << "more than is ever read";
}

}  // namespace
}  // namespace kata::agent
