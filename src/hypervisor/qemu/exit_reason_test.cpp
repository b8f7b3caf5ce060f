// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/qemu/exit_reason.h"

#include <gtest/gtest.h>

namespace kata::hypervisor::qemu {
namespace {

TEST(ExitReasonTest, PowerOff) {
  const VmExit exit = DescribeExit({.status = {}, .shutdown_reason = "guest-shutdown", .console = "bye\n"});
  EXPECT_TRUE(exit.powered_off);
  EXPECT_EQ(exit.reason, "the guest powered off");
}

TEST(ExitReasonTest, AKillIsNoPowerOffWhateverWasSaidBefore) {
  const VmExit exit = DescribeExit({.status = {0, 9}, .shutdown_reason = "guest-shutdown"});
  EXPECT_FALSE(exit.powered_off);
  EXPECT_EQ(exit.reason, "QEMU was killed by signal 9 (Killed)");
}

TEST(ExitReasonTest, PanicIsTakenFromTheConsole) {
  const VmExit exit = DescribeExit({.shutdown_reason = "guest-reset",
                                    .console = "one\nKernel panic - not syncing: No working init found.\n---[ end\n"});
  EXPECT_FALSE(exit.powered_off);
  EXPECT_EQ(exit.reason,
            "the guest kernel panicked: No working init found.; the guest's console ended with:\n  one\n"
            "  Kernel panic - not syncing: No working init found.\n  ---[ end");
}

TEST(ExitReasonTest, PanicByTheDeviceWithoutWords) {
  EXPECT_EQ(DescribeExit({.guest_panicked = true}).reason, "the guest kernel panicked");
}

TEST(ExitReasonTest, ResetWithoutPanic) {
  EXPECT_EQ(DescribeExit({.shutdown_reason = "guest-reset"}).reason, "the guest restarted");
}

TEST(ExitReasonTest, MessagesOfQemu) {
  EXPECT_EQ(DescribeExit({.status = {1, 0}, .messages = "qemu: no"}).reason, "QEMU exited with status 1: qemu: no");
}

TEST(ExitReasonTest, OneThatSaysNothingIsNamedWithItsKey) {
  EXPECT_EQ(DescribeExit({.status = {1, 0}, .program = "/bin/false"}).reason,
            "QEMU exited with status 1 without a word (path in [hypervisor.qemu] is /bin/false)");
  EXPECT_EQ(DescribeExit({.status = {0, 0}, .program = "/bin/true"}).reason,
            "QEMU exited with status 0 without a word (path in [hypervisor.qemu] is /bin/true)");
}

TEST(IndentedTest, KeepsTheLastWholeLines) {
  EXPECT_EQ(Indented("", 10), "");
  EXPECT_EQ(Indented("a\nb\n\n", 10), "\n  a\n  b");
  EXPECT_EQ(Indented("first\nsecond\nthird", 13), "\n  second\n  third");
  EXPECT_EQ(Indented(std::string(20, 'x'), 4), "\n  xxxx");
}

}  // namespace
}  // namespace kata::hypervisor::qemu
