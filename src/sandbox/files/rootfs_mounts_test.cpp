// SPDX-License-Identifier: Apache-2.0
#include "sandbox/files/rootfs_mounts.h"

#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/testing/run.h"

namespace kata::sandbox {
namespace {

namespace fs = std::filesystem;
using testing::TempDir;

containerd::types::Mount& Add(RootfsMounts& mounts, const std::string& type, const std::string& source,
                              const std::vector<std::string>& options) {
  containerd::types::Mount& mount = *mounts.Add();
  mount.set_type(type);
  mount.set_source(source);
  for (const std::string& option : options) mount.add_options(option);
  return mount;
}

// Each case runs in a child, so that the test's own mount namespace does not change.
class RootfsMountsTest : public ::testing::Test {
 protected:
  RootfsMountsTest() { fs::create_directories(root()); }
  std::string root() const { return dir_.path() + "/rootfs"; }
  std::string Layer(const std::string& name, const std::string& file, const std::string& text) {
    dir_.Write(name + "/" + file, text);
    return dir_.path() + "/" + name;
  }
  // The contents of a file in the mounted tree, or the error.
  std::string Look(const RootfsMounts& mounts, const std::string& file) {
    auto pipe = testing::Pipe();
    const pid_t child = fork();
    if (child == 0) {
      std::string seen;
      auto spaces = MountNamespaces::EnterPrivate();
      auto tree = spaces ? MountRootfs(mounts, root(), *spaces) : tl::unexpected<Error>(spaces.error());
      if (tree) {
        auto opened = OpenBeneath(tree->get(), file, O_RDONLY);
        auto text = opened ? ReadAll(opened->get()) : tl::unexpected<Error>(opened.error());
        seen = text ? *text : text.error().message();
      } else {
        seen = tree.error().message();
      }
      (void)WriteAll(pipe.second.get(), seen);
      _exit(fs::is_empty(root()) ? 0 : 1);
    }
    pipe.second.Reset();
    auto seen = ReadAll(pipe.first.get());
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0) << "nothing of it is seen on the host";
    return seen ? *seen : "";
  }
  TempDir dir_;
};

TEST_F(RootfsMountsTest, ABind) {
  RootfsMounts mounts;
  Add(mounts, "bind", Layer("image", "file", "text"), {"rbind", "ro"});
  EXPECT_EQ(Look(mounts, "file"), "text");
}

TEST_F(RootfsMountsTest, AnOverlayOfMoreLayersThanAPageNames) {
  std::string lower;
  for (int i = 0; i < 100; ++i) {
    if (i > 0) lower += ":";
    lower += Layer("layers/a-name-that-is-long-so-that-all-do-not-fit/" + std::to_string(i) + "/fs",
                   "file" + std::to_string(i), std::to_string(i));
  }
  ASSERT_GT(lower.size(), 4096U);
  RootfsMounts mounts;
  Add(mounts, "overlay", "overlay", {"lowerdir=" + lower});
  EXPECT_EQ(Look(mounts, "file99"), "99");
  EXPECT_EQ(Look(mounts, "file0"), "0");
}

TEST_F(RootfsMountsTest, WhatCannotBeMountedNamesItself) {
  RootfsMounts mounts;
  Add(mounts, "bind", dir_.path() + "/missing", {"rbind"});
  EXPECT_NE(Look(mounts, "file").find("rootfs[0]: cannot mount " + dir_.path() + "/missing"), std::string::npos);
  mounts[0].set_type("");
  EXPECT_NE(Look(mounts, "file").find("no type or no source"), std::string::npos);
  mounts[0].set_type("overlay");
  mounts[0].set_options(0, "lowerdir=" + std::string(5000, 'x'));
  EXPECT_NE(Look(mounts, "file").find("the kernel takes 4095"), std::string::npos);
}

TEST_F(RootfsMountsTest, AKernelThatLacksTheFileSystem) {
  RootfsMounts mounts;
  Add(mounts, "nosuchfs", "overlay", {"lowerdir=" + dir_.path()});
  EXPECT_EQ(Look(mounts, "file"),
            "rootfs[0]: cannot mount overlay: this host's kernel has no file system nosuchfs; load its module");
}

TEST_F(RootfsMountsTest, WrongMappings) {
  for (const char* map : {"uidmap=", "uidmap=0:1", "uidmap=0:1:2:3", "uidmap=a:1:2", "uidmap=-1:1:1",
                          "uidmap=0:1:4294967296", "uidmap=0:1:2 ", "gidmap=0::1"}) {
    RootfsMounts mounts;
    const std::string other = std::string_view(map).starts_with("uid") ? "gidmap=0:1:1" : "uidmap=0:1:1";
    Add(mounts, "bind", Layer("image", "file", "text"), {"rbind", map, other});
    EXPECT_NE(Look(mounts, "file"), "text") << map;
  }
  RootfsMounts mounts;
  Add(mounts, "overlay", "overlay", {"lowerdir=/usr:/etc", "uidmap=0:1:1", "gidmap=0:1:1"});
  EXPECT_THAT(Look(mounts, "file"), ::testing::HasSubstr("must have a directory in common"));
}

}  // namespace
}  // namespace kata::sandbox
