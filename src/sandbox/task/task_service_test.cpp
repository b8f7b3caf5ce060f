// SPDX-License-Identifier: Apache-2.0
// The state machine of containers and execs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <boost/asio/detached.hpp>

#include "sandbox/testing/sandbox_fixture.h"

namespace kata::sandbox {
namespace {

using testing::FakeStandin;
using ::testing::HasSubstr;
using testing::ReadAvailable;
namespace task = containerd::task::v2;
namespace types = containerd::v1::types;

class TaskServiceTest : public testing::SandboxTest {};

TEST_F(TaskServiceTest, ALifeFromCreateToEnd) {
  Begin();
  FakeStandin standin = NewStandin();
  auto created = Create(&standin);
  ASSERT_TRUE(created) << created.error().message();
  EXPECT_EQ(created->pid(), static_cast<uint32_t>(standin.pid));
  EXPECT_EQ(agent_.created.oci().process().args(0), "true");
  EXPECT_TRUE(AgentWasTold("CreateSandbox inside"));
  EXPECT_TRUE(AgentWasTold("SetGuestDateTime"));
  EXPECT_EQ(GetState()->status(), types::CREATED);
  EXPECT_EQ(Stored().status, Status::kCreated);

  ASSERT_TRUE(Start());
  EXPECT_EQ(GetState()->status(), types::RUNNING);
  EXPECT_EQ(Stored().status, Status::kRunning);

  task::WaitRequest wait;
  wait.set_id("c1");
  auto waited = CallAside<task::WaitResponse>("Wait", wait);
  agent_.Write("c1", "c1", "last line");
  agent_.End("c1", "c1", 3);
  RunUntil([&] { return waited->has_value(); });
  EXPECT_EQ((*waited)->value().exit_status(), 3U);
  EXPECT_EQ(ReadAvailable(standin.out.first.get()), "last line");
  EXPECT_EQ(standin.Received(), "X 3");
  RunUntilEnd();
  EXPECT_TRUE(*ended_);
  EXPECT_TRUE(AgentWasTold("DestroySandbox"));
  EXPECT_TRUE(fake_vm_->killed);
  sandbox::State state = Stored();
  EXPECT_EQ(state.status, Status::kStopped);
  EXPECT_EQ(state.exit_status, 3);
  EXPECT_FALSE(state.exited_at.empty());
  EXPECT_TRUE(state.failure.empty());
  for (const char* phase : {"vmm", "kernel", "agent", "sandbox", "container", "start"}) {
    EXPECT_TRUE(state.timing.contains(phase)) << phase;
  }
}

TEST_F(TaskServiceTest, TheRecordIsWrittenBeforeAnybodyIsToldOfTheEnd) {
  Begin();
  FakeStandin standin = NewStandin();
  ASSERT_TRUE(Create(&standin));
  ASSERT_TRUE(Start());
  agent_.End("c1", "c1", 9);
  std::string told;
  RunUntil([&] {
    told = standin.Received();
    return !told.empty();
  });
  EXPECT_EQ(told, "X 9");
  EXPECT_EQ(Stored().status, Status::kStopped);
  EXPECT_EQ(Stored().exit_status, 9);
}

TEST_F(TaskServiceTest, WhatDoesNotExistIsNotFound) {
  Begin();
  EXPECT_FAILS(GetState(), Code::kNotFound, "container c1 does not exist");
  EXPECT_FAILS(Start(), Code::kNotFound, "c1");
  EXPECT_FAILS(Kill(9), Code::kNotFound, "c1");
  EXPECT_FAILS(Wait(), Code::kNotFound, "c1");
  EXPECT_FAILS(Exec("e1"), Code::kNotFound, "c1");
  EXPECT_FAILS(Simple<task::PauseRequest>("Pause"), Code::kNotFound, "c1");
  ASSERT_TRUE(Create());
  EXPECT_FAILS(GetState("e1"), Code::kNotFound, "exec e1");
  EXPECT_FAILS(Start("e1"), Code::kNotFound, "exec e1");
}

TEST_F(TaskServiceTest, NothingIsMadeTwice) {
  Begin();
  ASSERT_TRUE(Create());
  EXPECT_FAILS(Create(), Code::kAlreadyExists, "c1");
  EXPECT_EQ(GetState()->status(), types::CREATED);  // the first one is unharmed
  ASSERT_TRUE(Start());
  EXPECT_FAILS(Start(), Code::kFailedPrecondition, "cannot start an already running container");
  ASSERT_TRUE(Exec("e1"));
  EXPECT_FAILS(Exec("e1"), Code::kAlreadyExists, "e1");
  EXPECT_FAILS(Exec("c1"), Code::kAlreadyExists, "c1");
  ASSERT_TRUE(Start("e1"));
  EXPECT_FAILS(Start("e1"), Code::kFailedPrecondition, "twice");
}

TEST_F(TaskServiceTest, TwoCreatesAtATimeMakeOne) {
  Begin();
  auto first = CallAside<task::CreateTaskResponse>("Create", CreateRequest(nullptr));
  auto second = CallAside<task::CreateTaskResponse>("Create", CreateRequest(nullptr));
  RunUntil([&] { return first->has_value() && second->has_value(); });
  EXPECT_NE((*first)->has_value(), (*second)->has_value());
  EXPECT_EQ(std::count(agent_.calls.begin(), agent_.calls.end(), "CreateContainer c1"), 1);
}

TEST_F(TaskServiceTest, IdsAreChecked) {
  Begin();
  task::CreateTaskRequest request = CreateRequest(nullptr);
  for (const char* id : {"", "..", "a/b", "a b", "../../etc"}) {
    request.set_id(id);
    EXPECT_FAILS(Call<task::CreateTaskResponse>("Create", request), Code::kInvalidArgument, "");
  }
  ASSERT_TRUE(Create());
  EXPECT_FAILS(Exec("a/b"), Code::kInvalidArgument, "");
}

TEST_F(TaskServiceTest, AStoppedContainerTakesNothing) {
  Begin();
  // A second container keeps the sandbox, so that the first can be asked after its end.
  ASSERT_TRUE(Create());
  task::CreateTaskRequest other = CreateRequest(nullptr);
  other.set_id("c2");
  ASSERT_TRUE(Call<task::CreateTaskResponse>("Create", other));
  ASSERT_TRUE(Start());
  agent_.End("c1", "c1", 0);
  EXPECT_EQ(Wait()->exit_status(), 0U);
  EXPECT_EQ(GetState()->status(), types::STOPPED);
  EXPECT_FAILS(Start(), Code::kFailedPrecondition, "cannot start a container that has stopped");
  EXPECT_FAILS(Exec("e1"), Code::kFailedPrecondition, "cannot exec in a stopped container");
  EXPECT_FAILS(Kill(15), Code::kNotFound, "container not running");
  EXPECT_FAILS(Simple<task::PauseRequest>("Pause"), Code::kFailedPrecondition, "container not running");
  EXPECT_FAILS(Simple<task::ResumeRequest>("Resume"), Code::kFailedPrecondition, "container not paused");
  task::DeleteRequest remove;
  remove.set_id("c1");
  EXPECT_TRUE(Call<task::DeleteResponse>("Delete", remove));
  EXPECT_TRUE(AgentWasTold("RemoveContainer c1"));
  EXPECT_FAILS(GetState(), Code::kNotFound, "c1");
  EXPECT_FALSE(ended_);
}

TEST_F(TaskServiceTest, PauseAndResume) {
  Begin();
  ASSERT_TRUE(Create());
  ASSERT_TRUE(Start());
  EXPECT_FAILS(Simple<task::ResumeRequest>("Resume"), Code::kFailedPrecondition, "container not paused");
  ASSERT_TRUE(Simple<task::PauseRequest>("Pause"));
  EXPECT_EQ(GetState()->status(), types::PAUSED);
  EXPECT_EQ(Stored().status, Status::kPaused);
  EXPECT_FAILS(Simple<task::PauseRequest>("Pause"), Code::kFailedPrecondition, "container not running");
  ASSERT_TRUE(Simple<task::ResumeRequest>("Resume"));
  EXPECT_EQ(GetState()->status(), types::RUNNING);
  EXPECT_EQ(Stored().status, Status::kRunning);
}

TEST_F(TaskServiceTest, KillReachesTheInitOrAll) {
  Begin();
  ASSERT_TRUE(Create());
  ASSERT_TRUE(Start());
  EXPECT_FAILS(Kill(65), Code::kInvalidArgument, "65");
  EXPECT_TRUE(Kill(0));
  ASSERT_TRUE(Kill(15));
  EXPECT_TRUE(AgentWasTold("SignalProcess c1 c1 15"));
  EXPECT_FALSE(AgentWasTold("SignalProcess c1 c1 0"));
  RunUntilEnd();
  EXPECT_EQ(Stored().exit_status, 143);
}

TEST_F(TaskServiceTest, KillAllNamesNoProcess) {
  Begin();
  ASSERT_TRUE(Create());
  ASSERT_TRUE(Start());
  ASSERT_TRUE(Kill(9, true));
  EXPECT_TRUE(AgentWasTold("SignalProcess c1  9"));
}

TEST_F(TaskServiceTest, AStopEndsAContainerAndTheSandboxWithIt) {
  Begin();
  ASSERT_TRUE(Create());
  ASSERT_TRUE(Start());
  asio::co_spawn(io_, Sandbox::Stop(sandbox_, SIGTERM), asio::detached);
  RunUntilEnd();
  EXPECT_TRUE(AgentWasTold("SignalProcess c1  15")) << "all processes of the container";
  EXPECT_EQ(Stored().exit_status, 128 + SIGTERM) << "its own status, not that of a process whose VM was ended";
}

TEST_F(TaskServiceTest, AStopLeavesTheSignalToTheStandIn) {
  Begin();
  const auto standin = NewStandin();
  ASSERT_TRUE(Create(&standin));
  ASSERT_TRUE(Start());
  asio::co_spawn(io_, Sandbox::Stop(sandbox_, SIGTERM), asio::detached);
  ASSERT_EQ(send(standin.connection.get(), "A 2", 3, 0), 3);
  RunUntilEnd();
  EXPECT_TRUE(AgentWasTold("SignalProcess c1  2"));
  EXPECT_EQ(Stored().exit_status, 128 + SIGINT) << "of the stand-in's signal, which was not preceded by another";
}

TEST_F(TaskServiceTest, AStopWithoutContainersEndsTheSandbox) {
  Begin();
  asio::co_spawn(io_, Sandbox::Stop(sandbox_, SIGTERM), asio::detached);
  RunUntilEnd();
}

TEST_F(TaskServiceTest, AStandInThatIsKilledTakesItsProcessWithIt) {
  Begin();
  FakeStandin standin = NewStandin();
  ASSERT_TRUE(Create(&standin));
  ASSERT_TRUE(Start());
  standin.connection.Reset();
  RunUntilEnd();
  EXPECT_TRUE(AgentWasTold("SignalProcess c1 c1 9"));
  EXPECT_EQ(Stored().exit_status, 137);
}

TEST_F(TaskServiceTest, AStandInThatIsKilledWhileTheVmBootsTakesItsContainerWithIt) {
  agent_.answers = false;
  Begin();
  FakeStandin standin = NewStandin();
  auto created = CallAside<task::CreateTaskResponse>("Create", CreateRequest(&standin));
  RunUntil([&] { return sandbox_->containers().contains("c1"); });
  standin.connection.Reset();
  for (int turn = 0; turn < 20; ++turn) io_.poll();
  EXPECT_FALSE(created->has_value());
  agent_.answers = true;
  agent_.End("", "", 0);  // wakes the waiting calls
  RunUntilEnd();
  EXPECT_TRUE(AgentWasTold("SignalProcess c1 c1 9"));
}

TEST_F(TaskServiceTest, TheTerminalGoesWithTheOneWhoKeepsItInTheForeground) {
  WriteSpec(R"({"ociVersion":"1.0.2","process":{"terminal":true,"cwd":"/","args":["sh"],"user":{"uid":0,"gid":0}},)"
            R"("root":{"path":"rootfs"},"linux":{"namespaces":[{"type":"mount"}]}})");
  Begin();
  auto caller = Spawn({.argv = {"sleep", "1000"}});
  ASSERT_TRUE(caller);
  FakeStandin standin = NewStandin();
  auto request = CreateRequest(&standin);
  for (std::string* name : {request.mutable_stdin(), request.mutable_stdout(), request.mutable_stderr()}) {
    *name = StandinStdio(standin.pid, caller->pid());
  }
  auto created = Call<task::CreateTaskResponse>("Create", request);
  ASSERT_TRUE(created) << created.error().message();
  ASSERT_TRUE(Start());
  io_.poll();
  EXPECT_FALSE(agent_.process("c1", "c1").out_closed_by_host);
  caller->End();
  RunUntil([&] { return agent_.process("c1", "c1").out_closed_by_host; });
  // The process may ignore the hang-up.
  EXPECT_EQ(GetState()->status(), types::RUNNING);
}

TEST_F(TaskServiceTest, SignalsAndSizesOfTheStandInAreKeptUntilTheProcessExists) {
  WriteSpec(R"({"ociVersion":"1.0.2","process":{"terminal":true,"cwd":"/","args":["sh"],"user":{"uid":0,"gid":0}},)"
            R"("root":{"path":"rootfs"},"linux":{"namespaces":[{"type":"mount"}]}})");
  agent_.answers = false;
  Begin();
  FakeStandin standin = NewStandin();
  auto created = CallAside<task::CreateTaskResponse>("Create", CreateRequest(&standin));
  RunUntil([&] { return sandbox_->containers().contains("c1"); });
  for (const char* text : {"W 33 100", "S 2"}) send(standin.connection.get(), text, strlen(text), 0);
  for (int turn = 0; turn < 20; ++turn) io_.poll();
  agent_.answers = true;
  agent_.End("", "", 0);
  RunUntilEnd();
  EXPECT_TRUE(AgentWasTold("SignalProcess c1 c1 2"));
  EXPECT_EQ(agent_.process("c1", "c1").rows, 33U);
  EXPECT_EQ(standin.Received(), "X 130");
}

TEST_F(TaskServiceTest, DeleteEndsWhatWasNeverStarted) {
  Begin();
  FakeStandin standin = NewStandin();
  ASSERT_TRUE(Create(&standin));
  task::DeleteRequest remove;
  remove.set_id("c1");
  auto removed = Call<task::DeleteResponse>("Delete", remove);
  ASSERT_TRUE(removed) << removed.error().message();
  EXPECT_EQ(removed->exit_status(), 137U);
  RunUntilEnd();
  EXPECT_EQ(standin.Received(), "X 137");
}

TEST_F(TaskServiceTest, DeleteOfARunningContainerIsRefused) {
  Begin();
  ASSERT_TRUE(Create());
  ASSERT_TRUE(Start());
  task::DeleteRequest remove;
  remove.set_id("c1");
  EXPECT_FAILS(Call<task::DeleteResponse>("Delete", remove), Code::kFailedPrecondition, "not stopped");
}

TEST_F(TaskServiceTest, ShutdownOnlyEndsWhatIsNotNeededUnlessForced) {
  Begin();
  FakeStandin standin = NewStandin();
  ASSERT_TRUE(Create(&standin));
  ASSERT_TRUE(Start());
  task::ShutdownRequest request;
  request.set_id("c1");
  EXPECT_TRUE(Call<wkt::Empty>("Shutdown", request));
  EXPECT_FALSE(ended_);
  EXPECT_EQ(GetState()->status(), types::RUNNING);
  request.set_now(true);
  EXPECT_TRUE(Call<wkt::Empty>("Shutdown", request));
  RunUntilEnd();
  EXPECT_EQ(standin.Received(), "X 137");
  EXPECT_FALSE(AgentWasTold("DestroySandbox"));
  EXPECT_EQ(Stored().exit_status, 137);
}

TEST_F(TaskServiceTest, WhatIsNotThereSaysSo) {
  Begin();
  ASSERT_TRUE(Create());
  EXPECT_FAILS(Simple<task::CheckpointTaskRequest>("Checkpoint"), Code::kUnimplemented, "Checkpoint");
  task::StatsRequest stats;
  stats.set_id("c1");
  EXPECT_FAILS(Call<task::StatsResponse>("Stats", stats), Code::kUnimplemented, "Stats");
  task::CreateTaskRequest request = CreateRequest(nullptr);
  request.set_id("c2");
  request.set_checkpoint("/x");
  EXPECT_FAILS(Call<task::CreateTaskResponse>("Create", request), Code::kUnimplemented, "checkpoint");
}

TEST_F(TaskServiceTest, UpdateIsCheckedAndPassedOn) {
  Begin();
  ASSERT_TRUE(Create());
  task::UpdateTaskRequest request;
  request.set_id("c1");
  request.mutable_resources()->set_type_url(kResourcesType);
  request.mutable_resources()->set_value(R"({"memory":{"limit":1048576}})");
  EXPECT_TRUE(Call<wkt::Empty>("Update", request));
  EXPECT_TRUE(AgentWasTold("UpdateContainer c1"));
  // The VM of these tests has 64 MiB.
  request.mutable_resources()->set_value(R"({"memory":{"limit":67108864}})");
  EXPECT_TRUE(Call<wkt::Empty>("Update", request));
  request.mutable_resources()->set_value(R"({"memory":{"limit":67108865}})");
  EXPECT_FAILS(Call<wkt::Empty>("Update", request), Code::kInvalidArgument, "64 MiB");
  request.mutable_resources()->set_value(R"({"memory":{"limit":-1}})");
  EXPECT_TRUE(Call<wkt::Empty>("Update", request));
  request.mutable_resources()->set_value("{\"memory\":{\"limit\":\"much\"}}");
  EXPECT_FAILS(Call<wkt::Empty>("Update", request), Code::kInvalidArgument, "limit");
}

TEST_F(TaskServiceTest, TheSizeOfATerminalThatIsNotThereIsNoError) {
  Begin();
  ASSERT_TRUE(Create());
  task::ResizePtyRequest request;
  request.set_id("c1");
  EXPECT_TRUE(Call<wkt::Empty>("ResizePty", request));
  ASSERT_TRUE(Start());
  ASSERT_TRUE(Exec("e1"));
  request.set_exec_id("e1");
  EXPECT_TRUE(Call<wkt::Empty>("ResizePty", request));
  ASSERT_TRUE(Start("e1"));
  agent_.End("c1", "e1", 0);
  ASSERT_TRUE(Wait("e1"));
  EXPECT_FAILS(Call<wkt::Empty>("ResizePty", request), Code::kFailedPrecondition, "cannot resize a stopped");
}

TEST_F(TaskServiceTest, TheVmHasGoneWhenTheEndIsTold) {
  Begin();
  ASSERT_TRUE(Create());
  ASSERT_TRUE(Start());
  std::optional<bool> gone;
  on_event_ = [&](const TaskEvent& event) {
    if (event.topic == "/tasks/exit") gone = fake_vm_->exited.happened();
  };
  task::WaitRequest wait;
  wait.set_id("c1");
  auto waited = CallAside<task::WaitResponse>("Wait", wait);
  agent_.End("c1", "c1", 3);
  RunUntil([&] {
    if (waited->has_value()) {
      EXPECT_TRUE(fake_vm_->exited.happened());
    }
    return waited->has_value() && gone.has_value();
  });
  EXPECT_EQ((*waited)->value().exit_status(), 3U);
  EXPECT_TRUE(*gone);
}

TEST_F(TaskServiceTest, PidsOfTheGuestCannotBeTakenForTheHosts) {
  serves_command_line_ = false;
  std::string list = R"([{"pid":140},{"pid":131},{"pid":"x"},7,{"pid":150}])";
  agent_.Replace<grpc::GetDiagnosticDataRequest, grpc::GetDiagnosticDataResponse>(
      "GetDiagnosticData",
      [&list](grpc::GetDiagnosticDataRequest) -> asio::awaitable<Result<grpc::GetDiagnosticDataResponse>> {
        grpc::GetDiagnosticDataResponse reply;
        reply.set_data(list);
        co_return reply;
      });
  Begin();
  const auto created = Create();
  ASSERT_TRUE(created);
  ASSERT_TRUE(Start());
  const auto pids_now = [this] {
    task::PidsRequest request;
    request.set_id("c1");
    std::vector<uint32_t> pids;
    const auto reply = Call<task::PidsResponse>("Pids", request);
    EXPECT_TRUE(reply);
    for (const auto& process : reply->processes()) {
      EXPECT_FALSE(process.has_info());
      pids.push_back(process.pid());
    }
    return pids;
  };
  EXPECT_EQ(pids_now(), (std::vector<uint32_t>{created->pid(), 10000140, 10000150}));
  list = "{";
  EXPECT_EQ(pids_now(), std::vector<uint32_t>{created->pid()});
}

std::vector<std::string> Topics(const std::vector<TaskEvent>& events) {
  std::vector<std::string> topics;
  for (const TaskEvent& event : events) topics.push_back(event.topic);
  return topics;
}

TEST_F(TaskServiceTest, EventsAreToldInTheOrderOfWhatHappened) {
  Begin();
  ASSERT_TRUE(Create());
  ASSERT_TRUE(Start());
  ASSERT_TRUE(Exec("e1"));
  ASSERT_TRUE(Start("e1"));
  agent_.End("c1", "e1", 0);
  ASSERT_TRUE(Wait("e1"));
  agent_.End("c1", "c1", 3);
  ASSERT_TRUE(Wait());
  task::DeleteRequest remove;
  remove.set_id("c1");
  ASSERT_TRUE(Call<task::DeleteResponse>("Delete", remove));
  EXPECT_EQ(Topics(events_),
            (std::vector<std::string>{"/tasks/create", "/tasks/start", "/tasks/exec-added", "/tasks/exec-started",
                                      "/tasks/exit", "/tasks/exit", "/tasks/delete"}));
  containerd::events::TaskExit exit;
  ASSERT_TRUE(exit.ParseFromString(events_[5].payload));
  EXPECT_EQ(exit.id(), "c1");
  EXPECT_EQ(exit.exit_status(), 3U);
}

TEST_F(TaskServiceTest, WhatCouldNotBeMadeIsNoEvent) {
  Begin();
  WriteSpec("{}");
  EXPECT_FALSE(Create());
  EXPECT_TRUE(events_.empty());
}

}  // namespace
}  // namespace kata::sandbox
