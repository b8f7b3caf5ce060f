// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/kvm_probe.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/files.h"
#include "hypervisor/accel.h"

namespace kata::hypervisor {
namespace {

using ::testing::HasSubstr;

constexpr std::chrono::milliseconds kTime{60000};

TEST(KvmProbeTest, ADeviceThatIsNoKvm) {
  const auto null = Open("/dev/null", O_RDWR);
  ASSERT_TRUE(null);
  const auto probe = ProbeKvm(null->get(), kTime);
  ASSERT_TRUE(probe) << probe.error().message();
  EXPECT_FALSE(probe->works);
  EXPECT_THAT(probe->why, HasSubstr("no VM can be made: Inappropriate ioctl for device"));
}

// Without hardware virtualization no VM runs, also where the device opens: such a KVM works with page tables alone.
TEST(KvmProbeTest, ThisHost) {
  const auto kvm = Open("/dev/kvm", O_RDWR);
  const auto probe = kvm ? ProbeKvm(kvm->get(), kTime) : Result<KvmProbe>(KvmProbe{false, "no device", {}});
  ASSERT_TRUE(probe) << probe.error().message();
  EXPECT_EQ(probe->works, kvm && HasHardwareVirtualization({})) << probe->why;
  EXPECT_NE(probe->works, !probe->why.empty());
  EXPECT_EQ(probe->works, probe->exit_time.count() > 0);
}

}  // namespace
}  // namespace kata::hypervisor
