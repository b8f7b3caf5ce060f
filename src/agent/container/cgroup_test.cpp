// SPDX-License-Identifier: Apache-2.0
// Real cgroups, without a container in them.
#include "agent/container/cgroup.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>

#include "agent/container/cgroup_limits.h"
#include "agent/container/container_fixture.h"
#include "agent/container/device_filter.h"

namespace kata::agent {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class CgroupTest : public ContainerTest {
 protected:
  Cgroup Make() {
    auto cgroup = Cgroup::Create(cgroup_mount_, "kata-cgroup-" + std::to_string(getpid()));
    if (!cgroup) throw std::runtime_error(cgroup.error().message());
    return *std::move(cgroup);
  }
  void Remove(const Cgroup& cgroup) {
    const auto removed = Await(cgroup.Remove(executor(), std::chrono::seconds(30)));
    EXPECT_TRUE(removed) << removed.error().message();
  }
};

TEST_F(CgroupTest, LimitsAreWrittenOrNameTheirField) {
  const Cgroup cgroup = Make();
  // Uses files that every cgroup has, because this machine may not have the controllers.
  ASSERT_TRUE(ApplyLimits(cgroup, {{"cgroup.max.depth", "5", "a"},
                                   {"missing.max", "1", "b", "cgroup.max.descendants", "7"},
                                   {"missing.max", "1", "c", {}, {}, true}}));
  EXPECT_EQ(*cgroup.Read("cgroup.max.depth"), "5\n");
  EXPECT_EQ(*cgroup.Read("cgroup.max.descendants"), "7\n");
  const auto missing = ApplyLimits(cgroup, {{"missing.max", "1", "memory.limit"}});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code(), Code::kUnimplemented);
  EXPECT_THAT(missing.error().message(), HasSubstr("linux.resources.memory.limit: "));
  const auto refused = ApplyLimits(cgroup, {{"cgroup.max.depth", "many", "cpu.quota"}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Code::kInvalidArgument);
  EXPECT_THAT(refused.error().message(), HasSubstr("linux.resources.cpu.quota: "));
  Remove(cgroup);
}

TEST_F(CgroupTest, OnlyWhatWasMadeIsRemoved) {
  const std::string outer = "kata-outer-" + std::to_string(getpid());
  ASSERT_TRUE(fs::create_directory(cgroup_mount_ + "/" + outer));
  {
    const auto cgroup = Cgroup::Create(cgroup_mount_, outer + "/made/leaf");
    ASSERT_TRUE(cgroup) << cgroup.error().message();
    ASSERT_TRUE(fs::create_directory(cgroup_mount_ + "/" + outer + "/made/neighbour"));
    Remove(*cgroup);
  }
  EXPECT_FALSE(fs::exists(cgroup_mount_ + "/" + outer + "/made/leaf"));
  EXPECT_TRUE(fs::exists(cgroup_mount_ + "/" + outer + "/made/neighbour"));
  for (const char* path : {"/made/neighbour", "/made", ""})
    EXPECT_EQ(rmdir((cgroup_mount_ + "/" + outer + path).c_str()), 0);
}

TEST_F(CgroupTest, ANameThatIsAFileOfTheCgroupIsRefused) {
  const auto cgroup = Cgroup::Create(cgroup_mount_, "cgroup.procs");
  ASSERT_FALSE(cgroup);
  EXPECT_THAT(cgroup.error().message(), HasSubstr("linux.cgroupsPath"));
  EXPECT_FALSE(Cgroup::Create(directory_, "x"));
  EXPECT_FALSE(fs::exists(directory_ + "/x"));
}

TEST_F(CgroupTest, DeviceFiltersAreLoadedAndReplaced) {
  const Cgroup cgroup = Make();
  grpc::LinuxResources resources;
  for (int i = 0; i < 300; ++i) {
    auto* rule = resources.add_devices();
    rule->set_allow(i % 2 == 0);
    rule->set_type(i % 3 == 0 ? "b" : "c");
    rule->set_major(i);
    rule->set_minor(i % 5 == 0 ? -1 : i);
    rule->set_access(i % 7 == 0 ? "r" : "rwm");
  }
  UniqueFd program;
  for (int round = 0; round < 3; ++round) {
    const auto rules = DeviceRules(resources, {});
    ASSERT_TRUE(rules);
    auto attached = AttachDeviceFilter(cgroup.fd(), BuildDeviceFilter(*rules), program.get());
    ASSERT_TRUE(attached) << attached.error().message();
    program = *std::move(attached);
    resources.mutable_devices()->DeleteSubrange(0, 100);
  }
  // A rule for everything ends the program early; the verifier must accept that, too.
  auto* all = resources.add_devices();
  all->set_type("a");
  all->set_allow(true);
  const auto attached = AttachDeviceFilter(cgroup.fd(), BuildDeviceFilter(*DeviceRules(resources, {})), program.get());
  EXPECT_TRUE(attached) << attached.error().message();
  Remove(cgroup);
}

TEST_F(CgroupTest, WaitingEndsWithTheTime) {
  const Cgroup cgroup = Make();
  const UniqueFd events(openat(cgroup.fd(), "cgroup.events", O_RDONLY | O_CLOEXEC));
  char text[128];
  ASSERT_GT(pread(events.get(), text, sizeof text, 0), 0);
  const auto waited = Await(WaitChanged(executor(), events.get(), std::chrono::seconds(1)));
  ASSERT_FALSE(waited);
  EXPECT_EQ(waited.error().code(), Code::kDeadlineExceeded);
  Remove(cgroup);
}

}  // namespace
}  // namespace kata::agent
