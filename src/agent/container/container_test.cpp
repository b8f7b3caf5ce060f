// SPDX-License-Identifier: Apache-2.0
#include "agent/container/container.h"

#include <gmock/gmock.h>

#include "agent/container/container_fixture.h"

namespace kata::agent {
namespace {

using testing::HasSubstr;

TEST_F(ContainerTest, RunsACommandAndTellsItsStatus) {
  const Outcome outcome = Run(Spec("echo hello; exit 7"));
  ASSERT_FALSE(outcome.error) << outcome.error->message();
  EXPECT_EQ(outcome.out, "hello\n");
  EXPECT_EQ(outcome.status, 7);
}

}  // namespace
}  // namespace kata::agent
