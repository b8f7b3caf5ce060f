// SPDX-License-Identifier: Apache-2.0
#include "agent/container/mount_options.h"

#include <gmock/gmock.h>
#include <sys/mount.h>

namespace kata::agent {
namespace {

TEST(MountOptions, DevIsDevHoweverItIsWritten) {
  for (const char* dev : {"/dev", "/dev/", "//dev", "/./dev/.", "/x/../dev", "/../dev"}) EXPECT_TRUE(IsDev(dev)) << dev;
  for (const char* other : {"", "/", "/dev/pts", "/devs", "/x/dev", "/dev/.."}) EXPECT_FALSE(IsDev(other)) << other;
}

using testing::ElementsAre;
using testing::IsEmpty;

MountOptions Parse(const std::string& type, const std::vector<std::string>& words) {
  grpc::Mount mount;
  mount.set_type(type);
  for (const std::string& word : words) mount.add_options(word);
  const auto options = ParseMountOptions(mount);
  EXPECT_TRUE(options) << options.error().message();
  return *options;
}

TEST(MountOptions, AttributesAndData) {
  const auto options = Parse("tmpfs", {"nosuid", "noexec", "size=1m", "ro", "mode=755", "sync", "defaults"});
  EXPECT_FALSE(options.bind);
  EXPECT_EQ(options.set, uint64_t{MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_RDONLY});
  EXPECT_THAT(options.data, ElementsAre("sync", "size=1m", "mode=755"));
}

TEST(MountOptions, TheLastWordCounts) {
  auto options = Parse("bind", {"ro", "rw"});
  EXPECT_EQ(options.set, 0U);
  EXPECT_EQ(options.clear, uint64_t{MOUNT_ATTR_RDONLY});
  options = Parse("bind", {"rw", "ro", "suid", "nosuid"});
  EXPECT_EQ(options.set, uint64_t{MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID});
  EXPECT_EQ(options.clear, 0U);
  EXPECT_THAT(Parse("tmpfs", {"sync", "lazytime", "async", "nolazytime"}).data, IsEmpty());
}

TEST(MountOptions, AccessTimesAreOneField) {
  for (const auto& [word, set] :
       std::vector<std::pair<std::string, uint64_t>>{{"noatime", MOUNT_ATTR_NOATIME},
                                                     {"relatime", MOUNT_ATTR_RELATIME},
                                                     {"strictatime", MOUNT_ATTR_STRICTATIME}}) {
    const auto options = Parse("bind", {"noatime", word});
    EXPECT_EQ(options.set, set) << word;
    EXPECT_EQ(options.clear, uint64_t{MOUNT_ATTR__ATIME}) << word;
  }
}

TEST(MountOptions, BindPropagationAndRecursion) {
  const auto options = Parse("none", {"rbind", "rslave", "private", "rro", "rnosuid"});
  EXPECT_TRUE(options.bind);
  EXPECT_TRUE(options.recursive);
  ASSERT_EQ(options.propagation.size(), 2U);
  EXPECT_EQ(options.propagation[0].type, uint64_t{MS_SLAVE});
  EXPECT_TRUE(options.propagation[0].recursive);
  EXPECT_EQ(options.propagation[1].type, uint64_t{MS_PRIVATE});
  EXPECT_FALSE(options.propagation[1].recursive);
  EXPECT_EQ(options.set, 0U);
  EXPECT_EQ(options.recursive_set, uint64_t{MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID});
  EXPECT_TRUE(Parse("bind", {}).bind);
  EXPECT_TRUE(Parse("none", {"bind"}).bind);
}

TEST(MountOptions, MappedIds) {
  EXPECT_FALSE(Parse("bind", {"rbind"}).id_mapped);
  EXPECT_TRUE(Parse("bind", {"idmap"}).id_mapped);
  EXPECT_FALSE(Parse("bind", {"rbind", "idmap"}).id_mapped_below);
  EXPECT_TRUE(Parse("bind", {"ridmap"}).id_mapped_below);
  grpc::Mount mount;
  mount.set_type("tmpfs");
  mount.add_uidmappings()->set_size(1);
  EXPECT_FALSE(ParseMountOptions(mount));
  mount.set_type("bind");
  const auto options = ParseMountOptions(mount);
  ASSERT_TRUE(options);
  EXPECT_TRUE(options->id_mapped);
  EXPECT_THAT(options->data, IsEmpty());
}

TEST(MountOptions, RefusesWhatItCannotDo) {
  for (const char* word : {"remount", "idmap=uids=0-1-10"}) {
    grpc::Mount mount;
    mount.set_type("bind");
    mount.add_options(word);
    const auto options = ParseMountOptions(mount);
    ASSERT_FALSE(options) << word;
    EXPECT_THAT(options.error().message(), testing::HasSubstr(word));
  }
}

}  // namespace
}  // namespace kata::agent
