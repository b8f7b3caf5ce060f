// SPDX-License-Identifier: Apache-2.0
#include "sandbox/host/host_limits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/files.h"

namespace kata::sandbox {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;

constexpr int64_t kMib = 1 << 20;

grpc::LinuxResources Limited() {
  grpc::LinuxResources resources;
  resources.mutable_memory()->set_limit(256 * kMib);
  resources.mutable_cpu()->set_quota(50000);
  resources.mutable_cpu()->set_period(200000);
  resources.mutable_cpu()->set_shares(512);
  resources.mutable_cpu()->set_cpus("0-1");
  resources.mutable_pids()->set_limit(77);
  return resources;
}

TEST(HostLimits, OfOneContainer) {
  const HostLimits limits = HostLimitsOf({Limited()}, 2304);
  EXPECT_EQ(limits.memory, (2304 + kVmOverheadMib) << 20U);
  EXPECT_EQ(limits.cpu_quota, 50000);
  EXPECT_EQ(limits.cpu_period, 200000U);
  EXPECT_EQ(limits.cpu_shares, 512U);
  EXPECT_EQ(limits.tasks, 77 + kVmTasks);
  EXPECT_EQ(limits.cpus, "0-1");
  EXPECT_EQ(limits.mems, "");
}

TEST(HostLimits, OfSeveral) {
  grpc::LinuxResources other = Limited();
  other.mutable_cpu()->set_period(100000);
  other.mutable_cpu()->set_cpus("3");
  const HostLimits limits = HostLimitsOf({Limited(), other}, 2560);
  EXPECT_EQ(limits.cpu_quota, 25000 + 50000) << "of a period of 100 ms";
  EXPECT_EQ(limits.cpu_period, 100000U);
  EXPECT_EQ(limits.cpu_shares, 1024U);
  EXPECT_EQ(limits.tasks, 2 * 77 + kVmTasks);
  EXPECT_EQ(limits.cpus, "0-1,3");
  EXPECT_EQ(HostLimitsOf({Limited(), {}}, 2560), HostLimits()) << "one without limits may use everything";
  EXPECT_EQ(HostLimitsOf({}, 2048), HostLimits());
}

TEST(HostLimits, WhatIsNoLimit) {
  grpc::LinuxResources resources;
  resources.mutable_memory()->set_limit(-1);
  resources.mutable_cpu()->set_quota(-1);
  resources.mutable_cpu()->set_shares(UINT64_MAX);
  resources.mutable_pids()->set_limit(INT64_MAX);
  EXPECT_EQ(HostLimitsOf({resources}, 2048), HostLimits());
}

TEST(HostLimits, FilesOfBothVersions) {
  const HostLimits limits = HostLimitsOf({Limited()}, 512);
  EXPECT_THAT(
      LimitFiles({}, limits),
      ElementsAre(Pair("memory.max", "1073741824"), Pair("memory.limit_in_bytes", "1073741824"),
                  Pair("cpu.max", "50000 200000"), Pair("cpu.cfs_quota_us", "-1"), Pair("cpu.cfs_period_us", "200000"),
                  Pair("cpu.cfs_quota_us", "50000"), Pair("cpu.weight", "20"), Pair("cpu.shares", "512"),
                  Pair("pids.max", "333"), Pair("cpuset.cpus", "0-1")));
  EXPECT_THAT(LimitFiles(limits, limits), IsEmpty());
  EXPECT_THAT(LimitFiles(limits, {}),
              ElementsAre(Pair("memory.max", "max"), Pair("memory.limit_in_bytes", "-1"), Pair("cpu.max", "max 100000"),
                          Pair("cpu.cfs_quota_us", "-1"), Pair("cpu.cfs_period_us", "100000"),
                          Pair("cpu.cfs_quota_us", "-1"), Pair("cpu.weight", "100"), Pair("cpu.shares", "1024"),
                          Pair("pids.max", "max"), Pair("cpuset.cpus", "")));
}

TEST(HostLimits, PropertiesOfSystemd) {
  HostLimits limits = HostLimitsOf({Limited()}, 512);
  limits.cpu_quota = 50001;
  limits.cpus = "0-1,9";
  const auto named = [&](const char* name, bool unified) -> Property::Value {
    for (const Property& property : LimitProperties({}, limits, unified)) {
      if (property.name == name) return property.value;
    }
    return std::string("none");
  };
  EXPECT_EQ(named("MemoryMax", true), Property::Value(uint64_t{1073741824}));
  EXPECT_EQ(named("MemoryLimit", false), Property::Value(uint64_t{1073741824}));
  EXPECT_EQ(named("CPUQuotaPerSecUSec", true), Property::Value(uint64_t{260000})) << "25.0005 % are rounded up";
  EXPECT_EQ(named("CPUWeight", true), Property::Value(uint64_t{20}));
  EXPECT_EQ(named("CPUShares", false), Property::Value(uint64_t{512}));
  EXPECT_EQ(named("TasksMax", true), Property::Value(uint64_t{333}));
  EXPECT_EQ(named("AllowedCPUs", true), Property::Value(std::vector<uint8_t>{3, 2}));
  EXPECT_EQ(named("AllowedCPUs", false), Property::Value(std::string("none")));
}

// A directory with files as a cgroup's.
class HostLimiterTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string path = testing::TempDir() + "limitsXXXXXX";
    ASSERT_NE(mkdtemp(path.data()), nullptr);
    top_ = path;
    std::filesystem::create_directory(top_ + "/c");
    Write("cpuset.cpus", "0-7");
  }
  void TearDown() override { std::filesystem::remove_all(top_); }
  void Write(const std::string& name, const std::string& text) const { std::ofstream(top_ + "/" + name) << text; }
  // What is written into the cgroup's files then; "": nothing.
  Result<> Apply(HostLimiter& limiter, uint64_t vm_memory_mib) const {
    for (const char* name : {"c/memory.max", "c/pids.max", "c/cpu.max", "c/cpuset.cpus"}) Write(name, "");
    return limiter.Apply(vm_memory_mib);
  }
  std::string Read(const std::string& name) const { return ReadFile(top_ + "/" + name).value_or("none"); }

  std::string top_;
};

TEST_F(HostLimiterTest, FromAStartToTheEnd) {
  HostLimiter limiter({}, {top_ + "/c"}, "", "c1");
  limiter.Set("c1", Limited());
  ASSERT_TRUE(Apply(limiter, 512));
  EXPECT_EQ(Read("c/memory.max"), "1073741824");
  EXPECT_EQ(Read("c/cpu.max"), "50000 200000");
  EXPECT_EQ(Read("c/cpuset.cpus"), "0-1");
  EXPECT_EQ(Read("c/cpu.weight"), "none") << "the host cannot limit that";
  grpc::LinuxResources update;
  update.mutable_pids()->set_limit(3);
  limiter.Update("c1", update);
  ASSERT_TRUE(Apply(limiter, 256));
  EXPECT_EQ(Read("c/pids.max"), "259");
  EXPECT_EQ(Read("c/memory.max"), "") << "the VM has become smaller, but may still have the memory";
  limiter.Set("c2", {});
  ASSERT_TRUE(Apply(limiter, 256));
  EXPECT_EQ(Read("c/memory.max"), "max");
  EXPECT_EQ(Read("c/cpuset.cpus"), "0-7") << "the parent's";
  limiter.Forget("c2");
  ASSERT_TRUE(Apply(limiter, 256));
  EXPECT_EQ(Read("c/pids.max"), "259");
  ASSERT_TRUE(Apply(limiter, 256));
  EXPECT_EQ(Read("c/pids.max"), "") << "it is as it was";
}

TEST_F(HostLimiterTest, ARefusalIsToldAndTriedAgain) {
  std::filesystem::create_directory(top_ + "/c/pids.max");
  HostLimiter limiter({}, {top_ + "/c"}, "", "c1");
  limiter.Set("c1", Limited());
  const auto refused = limiter.Apply(512);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message(), HasSubstr("the limits of the container's cgroup on the host"));
  std::filesystem::remove(top_ + "/c/pids.max");
  Write("c/pids.max", "max");
  ASSERT_TRUE(limiter.Apply(512));
  EXPECT_EQ(Read("c/pids.max"), "333");
}

}  // namespace
}  // namespace kata::sandbox
