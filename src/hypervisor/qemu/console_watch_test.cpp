// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/qemu/console_watch.h"

#include <gtest/gtest.h>

#include <string>

#include "hypervisor/qemu/exit_reason.h"
#include "protocol/guest_contract.h"

namespace kata::hypervisor::qemu {
namespace {

TEST(ConsoleWatch, TellsOfThePanicOfABootOnce) {
  int told = 0;
  ConsoleWatch watch([&told] { ++told; });
  watch.OnLine("Linux version 6.1");
  EXPECT_FALSE(watch.panicked());
  const std::string panic = "[    0.1] " + std::string(kPanicMark) + ": no init";
  watch.OnLine(panic);
  watch.OnLine(panic);
  EXPECT_TRUE(watch.panicked());
  EXPECT_EQ(told, 1);
}

TEST(ConsoleWatch, APanicAfterTheBootIsNotTheBoots) {
  int told = 0;
  ConsoleWatch watch([&told] { ++told; });
  watch.BootEnded();
  watch.OnLine(kPanicMark);
  EXPECT_FALSE(watch.panicked());
  EXPECT_EQ(told, 0);
}

TEST(ConsoleWatch, KnowsWhenTheAgentFirstBegan) {
  ConsoleWatch watch([] {});
  EXPECT_FALSE(watch.agent_began().has_value());
  watch.OnLine(contract::kAgentBegins);
  const auto began = watch.agent_began();
  ASSERT_TRUE(began.has_value());
  watch.OnLine(contract::kAgentBegins);
  EXPECT_EQ(watch.agent_began(), began);
}

}  // namespace
}  // namespace kata::hypervisor::qemu
