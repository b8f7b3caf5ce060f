// SPDX-License-Identifier: Apache-2.0
// Execs, from Exec to their end.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include "sandbox/testing/sandbox_fixture.h"

namespace kata::sandbox {
namespace {

using testing::FakeStandin;
using testing::ReadAvailable;
namespace task = containerd::task::v2;
namespace types = containerd::v1::types;

class TaskExecTest : public testing::SandboxTest {};

TEST_F(TaskExecTest, AnExecThatWasOnlyAddedHasNoProcess) {
  Begin();
  ASSERT_TRUE(Create());
  ASSERT_TRUE(Start());
  ASSERT_TRUE(Exec("e1"));
  EXPECT_FAILS(Kill(9, false, "e1"), Code::kFailedPrecondition, "process not created");
  EXPECT_FAILS(Kill(0, false, "e1"), Code::kFailedPrecondition, "process not created");
  EXPECT_FALSE(AgentWasTold("SignalProcess c1 e1 9"));
  // The last container ends, and the VM with it.
  agent_.End("c1", "c1", 0);
  EXPECT_EQ(Wait()->exit_status(), 0U);
  EXPECT_FAILS(Start("e1"), Code::kFailedPrecondition, "container not running");
  RunUntilEnd();
  EXPECT_FAILS(Start("e1"), Code::kFailedPrecondition, "container not running");
}

TEST_F(TaskExecTest, AnExecThatNeverRanHasNoStatusNoTimeAndNoEnd) {
  constexpr int64_t kGoZeroTime = -62135596800;
  Begin();
  ASSERT_TRUE(Create());
  ASSERT_TRUE(Start());
  ASSERT_TRUE(Exec("added"));
  ASSERT_TRUE(Exec("failed"));
  agent_.create_error = "executable file not found in $PATH";
  ASSERT_FALSE(Start("failed"));
  for (const char* id : {"added", "failed"}) {
    const auto state = GetState(id);
    ASSERT_TRUE(state) << id;
    EXPECT_EQ(state->pid(), 0U) << id;
    task::WaitRequest wait;
    wait.set_id("c1");
    wait.set_exec_id(id);
    const auto waited = CallAside<task::WaitResponse>("Wait", wait);
    task::DeleteRequest request;
    request.set_id("c1");
    request.set_exec_id(id);
    const auto removed = Call<task::DeleteResponse>("Delete", request);
    ASSERT_TRUE(removed) << id;
    EXPECT_EQ(removed->exit_status(), 0U) << id;
    EXPECT_EQ(removed->pid(), 0U) << id;
    EXPECT_EQ(removed->exited_at().seconds(), kGoZeroTime) << id;
    RunUntil([&] { return waited->has_value(); });
    EXPECT_FAILS(GetState(id), Code::kNotFound, id);
  }
  for (const TaskEvent& event : events_) EXPECT_NE(event.topic, "/tasks/exit");
}

TEST_F(TaskExecTest, ExecsComeAndGo) {
  Begin();
  ASSERT_TRUE(Create());
  ASSERT_TRUE(Start());
  for (int i = 0; i < 20; ++i) {
    std::string id = fmt::format("e{}", i);
    FakeStandin standin = NewStandin(id);
    ASSERT_TRUE(Exec(id, &standin));
    EXPECT_EQ(GetState(id)->status(), types::CREATED);
    auto started = Start(id);
    ASSERT_TRUE(started);
    EXPECT_EQ(started->pid(), static_cast<uint32_t>(standin.pid));
    agent_.Write("c1", id, "out " + id);
    agent_.End("c1", id, i);
    std::string told;
    RunUntil([&] {
      told += standin.Received();
      return !told.empty();
    });
    EXPECT_EQ(told, fmt::format("X {}", i));
    EXPECT_EQ(ReadAvailable(standin.out.first.get()), "out " + id);
  }
  // No exec is kept.
  EXPECT_TRUE(sandbox_->containers().at("c1")->execs.empty());
  EXPECT_FALSE(ended_);
}

TEST_F(TaskExecTest, ABackgroundProcessWritesOnAfterTheExecsEnd) {
  Begin();
  ASSERT_TRUE(Create());
  ASSERT_TRUE(Start());
  FakeStandin standin = NewStandin("e1");
  ASSERT_TRUE(Exec("e1", &standin));
  ASSERT_TRUE(Start("e1"));
  agent_.process("c1", "e1").held = true;
  agent_.Write("c1", "e1", "early");
  agent_.End("c1", "e1", 3);
  std::string told;
  RunUntil([&] { return !(told += standin.Received()).empty(); });
  EXPECT_EQ(told, "X 3");
  EXPECT_EQ(ReadAvailable(standin.out.first.get()), "early") << "what it had written itself is there by then";
  EXPECT_TRUE(sandbox_->containers().at("c1")->execs.empty());
  agent_.Write("c1", "e1", "late");
  std::string got;
  RunUntil([&] { return (got += ReadAvailable(standin.out.first.get())) == "late"; });
  agent_.process("c1", "e1").held = false;
  agent_.Change();
  pollfd out{.fd = standin.out.first.get(), .events = 0, .revents = 0};
  RunUntil([&] { return poll(&out, 1, 0) == 1; });
  EXPECT_NE(out.revents & POLLHUP, 0);
}

TEST_F(TaskExecTest, DeleteDoesNotWaitForEverForABackgroundProcess) {
  Begin();
  ASSERT_TRUE(Create());
  ASSERT_TRUE(Start());
  ASSERT_TRUE(Exec("e1"));
  ASSERT_TRUE(Start("e1"));
  // Without a stand-in, as with containerd, the exec stays until it is deleted.
  agent_.process("c1", "e1").held = true;
  agent_.End("c1", "e1", 3);
  EXPECT_EQ(Wait("e1")->exit_status(), 3U);
  EXPECT_FALSE(agent_.process("c1", "e1").out_closed_by_host);
  auto deleted = Delete("e1");
  ASSERT_TRUE(deleted);
  EXPECT_EQ(deleted->exit_status(), 3U);
  RunUntil([&] { return agent_.process("c1", "e1").out_closed_by_host; });
}

TEST_F(TaskExecTest, AnExecThatCannotBeHadIsAnErrorAndGone) {
  Begin();
  ASSERT_TRUE(Create());
  ASSERT_TRUE(Start());
  agent_.create_error = "exec: \"nope\": executable file not found in $PATH";
  FakeStandin standin = NewStandin("e1");
  ASSERT_TRUE(Exec("e1", &standin));
  EXPECT_FAILS(Start("e1"), Code::kUnknown, "executable file not found in $PATH");
  EXPECT_EQ(standin.Received(), "X 137");
  EXPECT_FAILS(GetState("e1"), Code::kNotFound, "e1");
}

TEST_F(TaskExecTest, AnExecEndsWithItsOwnStatusWhenTheContainerEnds) {
  Begin();
  FakeStandin init = NewStandin();
  ASSERT_TRUE(Create(&init));
  ASSERT_TRUE(Start());
  FakeStandin standin = NewStandin("e1");
  ASSERT_TRUE(Exec("e1", &standin));
  ASSERT_TRUE(Start("e1"));
  agent_.End("c1", "c1", 0);
  agent_.End("c1", "e1", 5);
  RunUntilEnd();
  EXPECT_EQ(init.Received(), "X 0");
  EXPECT_EQ(standin.Received(), "X 5");
}

TEST_F(TaskExecTest, MalformedExecsAreRefused) {
  Begin();
  ASSERT_TRUE(Create());
  auto request = ExecRequest("e1", nullptr);
  request.mutable_spec()->set_value("{\"cwd\":");
  EXPECT_FAILS(Call<wkt::Empty>("Exec", request), Code::kInvalidArgument, "");
  request.mutable_spec()->set_value("{\"cwd\":\"relative\",\"args\":[\"x\"],\"user\":{\"uid\":0,\"gid\":0}}");
  EXPECT_FAILS(Call<wkt::Empty>("Exec", request), Code::kInvalidArgument, "cwd");
  request = ExecRequest("e1", nullptr);
  request.set_stdin("/etc/passwd");
  EXPECT_FAILS(Call<wkt::Empty>("Exec", request), Code::kInvalidArgument, "stand-in");
}

TEST_F(TaskExecTest, AnExecWhoseStandInGoesBeforeTheStartIsForgotten) {
  Begin();
  ASSERT_TRUE(Create());
  ASSERT_TRUE(Start());
  FakeStandin standin = NewStandin("e1");
  ASSERT_TRUE(Exec("e1", &standin));
  standin.connection.Reset();
  RunUntil([&] { return sandbox_->containers().at("c1")->execs.empty(); });
  EXPECT_FAILS(Start("e1"), Code::kNotFound, "e1");
  EXPECT_FALSE(AgentWasTold("ExecProcess c1 e1"));
}

}  // namespace
}  // namespace kata::sandbox
