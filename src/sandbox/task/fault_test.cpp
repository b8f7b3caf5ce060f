// SPDX-License-Identifier: Apache-2.0
// What can fail under a sandbox, including an agent that lies. Each failure is an error with its cause and status 137,
// never success.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include "sandbox/testing/sandbox_fixture.h"

namespace kata::sandbox {
namespace {

using testing::FakeStandin;
using ::testing::HasSubstr;
using ::testing::Not;
namespace task = containerd::task::v2;

class FaultTest : public testing::SandboxTest {
 protected:
  void ChangeParts(VmParts& parts) override {
    parts.agent = agent_config_;
    parts.health_interval = health_interval_;
    parts.kill_timeout = kill_timeout_;
    if (!file_server_error_.empty()) {
      parts.start_file_server = [this]() -> Result<hypervisor::FileServer> {
        return Fail(Code::kInternal, "{}", file_server_error_);
      };
    }
    if (file_server_script_.empty()) return;
    parts.start_file_server = [this]() -> Result<hypervisor::FileServer> {
      Command command;
      command.argv = {"/bin/sh", "-c", file_server_script_};
      hypervisor::FileServer daemon{.process = TRY(Spawn(command)), .program = "/bin/kata-fsd"};
      daemon.log = UniqueFd(memfd_create("log", MFD_CLOEXEC));
      TRY(WriteAll(daemon.log.get(), "stderr of the daemon"));
      file_server_pid_ = daemon.process.pid();
      return daemon;
    };
  }
  // A container that runs, with its stand-in.
  FakeStandin Running() {
    Begin();
    FakeStandin standin = NewStandin();
    EXPECT_TRUE(Create(&standin));
    EXPECT_TRUE(Start());
    return standin;
  }
  void ExpectFailure(const FakeStandin& standin, const std::string& cause) {
    RunUntilEnd();
    EXPECT_FALSE(*ended_);
    EXPECT_TRUE(fake_vm_->killed);
    EXPECT_EQ(standin.Received(), "X 137");
    sandbox::State state = Stored();
    EXPECT_EQ(state.status, Status::kStopped);
    EXPECT_EQ(state.exit_status, 137);
    EXPECT_THAT(state.failure, HasSubstr(cause));
  }

  config::AgentConfig agent_config_;
  std::chrono::milliseconds health_interval_{20};
  std::chrono::milliseconds kill_timeout_{15000};
  std::string file_server_error_;
  std::string file_server_script_;
  pid_t file_server_pid_ = 0;
};

TEST_F(FaultTest, TheVmmDies) {
  FakeStandin standin = Running();
  fake_vm_->Die("QEMU was killed by signal 9; console: bye");
  agent_.Disconnect();
  ExpectFailure(standin, "QEMU was killed by signal 9; console: bye");
}

TEST_F(FaultTest, AStatusThatIsKnownStays) {
  FakeStandin standin = Running();
  FakeStandin second = NewStandin("e1");
  ASSERT_TRUE(Exec("e1", &second));
  ASSERT_TRUE(Start("e1"));
  const auto container = sandbox_->containers().at("c1");
  const auto exec = container->execs.at("e1");
  // Their outputs do not end, so the exits are not reported yet.
  for (const char* id : {"c1", "e1"}) agent_.process("c1", id).held = true;
  for (const char* id : {"c1", "e1"}) agent_.process("c1", id).told_held = {true, true};
  agent_.End("c1", "c1", 5);
  agent_.End("c1", "e1", 0);
  RunUntil([&] { return container->init->knows_exit() && exec->knows_exit(); });
  EXPECT_EQ(standin.Received(), "");
  fake_vm_->Die("QEMU crashed");
  agent_.Disconnect();
  RunUntilEnd();
  // The container's own exit is reported when the VMM has gone.
  const auto is_exit = [](const TaskEvent& event) { return event.topic == "/tasks/exit"; };
  RunUntil([&] { return std::count_if(events_.begin(), events_.end(), is_exit) == 2; });
  EXPECT_EQ(standin.Received(), "X 5");
  EXPECT_EQ(second.Received(), "X 0");
  EXPECT_EQ(Stored().exit_status, 5);
  EXPECT_EQ(Stored().status, Status::kStopped);
  containerd::events::TaskExit exit;
  for (const auto& event : events_) {
    if (!is_exit(event)) continue;
    ASSERT_TRUE(exit.ParseFromString(event.payload));
    EXPECT_EQ(exit.exit_status(), exit.id() == "c1" ? 5U : 0U);
  }
}

TEST_F(FaultTest, TheConnectionBreaksAndTheVmmIsFoundDead) {
  FakeStandin standin = Running();
  agent_.Disconnect();
  // The end of the VMM is noticed a moment later, and is reported as the cause all the same.
  for (int turn = 0; turn < 20; ++turn) io_.poll();
  fake_vm_->Die("QEMU crashed");
  ExpectFailure(standin, "QEMU crashed");
}

TEST_F(FaultTest, TheConnectionBreaks) {
  FakeStandin standin = Running();
  agent_.Disconnect();
  ExpectFailure(standin, "connection to the agent broke");
  EXPECT_THAT(Stored().failure, HasSubstr("last words of the guest"));
}

TEST_F(FaultTest, WhatTheConsoleSaysCountsOnlyWhileTheGuestBoots) {
  EXPECT_FALSE(fake_vm_->boot_ended);
  FakeStandin standin = Running();
  EXPECT_TRUE(fake_vm_->boot_ended);
}

TEST_F(FaultTest, FileServerDies) {
  file_server_script_ = "exec sleep 1000";
  FakeStandin standin = Running();
  kill(file_server_pid_, SIGKILL);
  ExpectFailure(standin, "kata-fsd was killed by signal 9 (Killed): stderr of the daemon");
}

TEST_F(FaultTest, FileServerEndsBecauseTheVmmDied) {
  file_server_script_ = "read line; exit 0";  // stdin is /dev/null: it exits with 0 at once
  Begin();
  fake_vm_->Die("QEMU has had enough");
  auto created = Create();
  ASSERT_FALSE(created);
  EXPECT_THAT(created.error().message(), HasSubstr("QEMU has had enough"));
}

TEST_F(FaultTest, NothingIsLeftOfTheFileServerAfterwards) {
  file_server_script_ = "exec sleep 1000";
  FakeStandin standin = Running();
  agent_.End("c1", "c1", 0);
  RunUntilEnd();
  EXPECT_TRUE(*ended_);
  EXPECT_EQ(kill(file_server_pid_, 0), -1);
}

TEST_F(FaultTest, FileServerCannotStart) {
  file_server_error_ = "kata-fsd: unrecognized option";
  Begin();
  auto created = Create();
  ASSERT_FALSE(created);
  EXPECT_THAT(created.error().message(), HasSubstr("kata-fsd: unrecognized option"));
  RunUntilEnd();
  EXPECT_FALSE(*ended_);
}

TEST_F(FaultTest, TheVmmCannotStart) {
  fake_vm_->start_result = Fail(Code::kInternal, "QEMU: no such machine");
  Begin();
  FakeStandin standin = NewStandin();
  auto created = Create(&standin);
  ASSERT_FALSE(created);
  EXPECT_EQ(created.error().code(), Code::kUnavailable);
  EXPECT_THAT(created.error().message(), HasSubstr("QEMU: no such machine"));
  RunUntilEnd();
  EXPECT_FALSE(*ended_);
  EXPECT_THAT(Stored().failure, HasSubstr("QEMU: no such machine"));
}

TEST_F(FaultTest, TheGuestNeverAnswers) {
  agent_.answers = false;
  agent_config_.reconnect_timeout_ms = 50;
  Begin();
  auto created = Create();
  ASSERT_FALSE(created);
  EXPECT_EQ(created.error().code(), Code::kUnavailable);
  EXPECT_THAT(created.error().message(), HasSubstr("did not answer"));
  EXPECT_THAT(created.error().message(), HasSubstr("last words of the guest"));
  EXPECT_FALSE(fake_vm_->boot_ended);
  RunUntilEnd();
  EXPECT_FALSE(*ended_);
}

TEST_F(FaultTest, TheGuestHangsLater) {
  agent_config_.health_check_request_timeout_ms = 50;
  FakeStandin standin = Running();
  agent_.answers = false;
  ExpectFailure(standin, "the virtual machine does not answer: its agent did not answer Check");
}

TEST_F(FaultTest, WhatTakesTooLongInTheGuestIsNoFaultOfTheVm) {
  agent_.Replace<grpc::PauseContainerRequest, wkt::Empty>(
      "PauseContainer", [](grpc::PauseContainerRequest) -> asio::awaitable<Result<wkt::Empty>> {
        co_return Fail(Code::kDeadlineExceeded, "the cgroup did not reach \"frozen 1\"");
      });
  FakeStandin standin = Running();
  EXPECT_THAT(Simple<task::PauseRequest>("Pause").error().message(), HasSubstr("frozen 1"));
  EXPECT_EQ(GetState()->status(), containerd::v1::types::RUNNING);
  EXPECT_FALSE(fake_vm_->killed);
}

TEST_F(FaultTest, AContainerThatSigkillDoesNotEnd) {
  health_interval_ = std::chrono::minutes(1);
  kill_timeout_ = std::chrono::milliseconds(50);
  file_server_script_ = "kill -STOP $$; sleep 1000";
  agent_.Replace<grpc::SignalProcessRequest, wkt::Empty>(
      "SignalProcess",
      [](grpc::SignalProcessRequest) -> asio::awaitable<Result<wkt::Empty>> { co_return wkt::Empty(); });
  FakeStandin standin = Running();
  RunUntil([&] { return IsHeld(file_server_pid_); });
  EXPECT_TRUE(Kill(SIGKILL));
  ExpectFailure(
      standin,
      fmt::format("c1 has not ended after SIGKILL within 0.05 s (timeout_factor in [runtime] makes that longer); "
                  "process {} (sh) is stopped",
                  file_server_pid_));
}

TEST_F(FaultTest, AFileServerThatIsStopped) {
  file_server_script_ = "kill -STOP $$; sleep 1000";
  FakeStandin standin = Running();
  ExpectFailure(standin, fmt::format("stands still; process {} (sh) is stopped", file_server_pid_));
}

TEST_F(FaultTest, AKillThatTheGuestDoesNotTake) {
  kill_timeout_ = std::chrono::milliseconds(50);
  FakeStandin standin = Running();
  agent_.answers = false;
  // The process has ended, which is what Kill asked for.
  EXPECT_TRUE(Kill(SIGKILL));
  ExpectFailure(standin, "has not ended");
}

TEST_F(FaultTest, ASignalThatMeetsADyingVm) {
  FakeStandin standin = Running();
  fake_vm_->Die("QEMU crashed");
  agent_.Disconnect();
  // The process has ended with the VM. Callers that stop containers expect kNotFound.
  auto killed = Kill(SIGTERM);
  ASSERT_FALSE(killed);
  EXPECT_EQ(killed.error().code(), Code::kNotFound);
  ExpectFailure(standin, "QEMU crashed");
}

TEST_F(FaultTest, TheKernelPanicsWhileItBoots) {
  agent_.answers = false;
  Begin();
  auto created = CallAside<task::CreateTaskResponse>("Create", CreateRequest(nullptr));
  RunUntil([&] { return sandbox_->containers().contains("c1"); });
  fake_vm_->Die("the guest's kernel panicked");
  agent_.Disconnect();
  RunUntil([&] { return created->has_value(); });
  EXPECT_THAT((*created)->error().message(), HasSubstr("the guest's kernel panicked"));
  RunUntilEnd();
}

TEST_F(FaultTest, GarbageInsteadOfAnAgent) {
  auto pair = std::make_shared<testing::FdPair>();
  fake_vm_->connect = [pair] {
    *pair = testing::SocketPair();
    EXPECT_TRUE(WriteAll(pair->first.get(), std::string(4096, '\xff')));
    return std::move(pair->second);
  };
  Begin();
  auto created = Create();
  ASSERT_FALSE(created);
  EXPECT_EQ(created.error().code(), Code::kUnavailable);
  EXPECT_THAT(created.error().message(), HasSubstr("agent"));
  RunUntilEnd();
  EXPECT_FALSE(*ended_);
}

TEST_F(FaultTest, AnAgentThatCannotSetTheSandboxUp) {
  agent_.Replace<grpc::CreateSandboxRequest, wkt::Empty>(
      "CreateSandbox", [](grpc::CreateSandboxRequest) -> asio::awaitable<Result<wkt::Empty>> {
        co_return Fail(Code::kInternal, "cannot mount kataShared");
      });
  Begin();
  auto created = Create();
  ASSERT_FALSE(created);
  EXPECT_THAT(created.error().message(), HasSubstr("cannot mount kataShared"));
}

TEST_F(FaultTest, ACommandThatIsNotFoundIsNoFaultOfTheVm) {
  agent_.create_error = "exec: \"nope\": executable file not found in $PATH";
  Begin();
  FakeStandin standin = NewStandin();
  auto created = Create(&standin);
  ASSERT_FALSE(created);
  EXPECT_EQ(created.error().code(), Code::kUnknown);
  EXPECT_EQ(created.error().message(), agent_.create_error);
  // A sandbox without containers ends by itself.
  RunUntilEnd();
  EXPECT_TRUE(*ended_);
  EXPECT_EQ(standin.Received(), "X 137");
}

TEST_F(FaultTest, AnAgentThatForgetsHowAProcessEnded) {
  agent_.Replace<grpc::WaitProcessRequest, grpc::WaitProcessResponse>(
      "WaitProcess", [](grpc::WaitProcessRequest) -> asio::awaitable<Result<grpc::WaitProcessResponse>> {
        co_return Fail(Code::kNotFound, "which process?");
      });
  Begin();
  FakeStandin standin = NewStandin();
  (void)Create(&standin);
  ExpectFailure(standin, "which process?");
}

TEST_F(FaultTest, AnExitStatusThatIsNone) {
  agent_.Replace<grpc::WaitProcessRequest, grpc::WaitProcessResponse>(
      "WaitProcess", [](grpc::WaitProcessRequest) -> asio::awaitable<Result<grpc::WaitProcessResponse>> {
        grpc::WaitProcessResponse reply;
        reply.set_status(-1);
        co_return reply;
      });
  Begin();
  FakeStandin standin = NewStandin();
  (void)Create(&standin);
  ExpectFailure(standin, "exit status of -1");
}

TEST_F(FaultTest, AFloodOfOutputIsNotKept) {
  FakeStandin standin = Running();
  agent_.Write("c1", "c1", std::string(64 << 20, 'x'));
  // Nobody reads: no more is taken than two chunks and what a pipe holds.
  for (int turn = 0; turn < 200; ++turn) io_.run_one_for(std::chrono::milliseconds(1));
  EXPECT_GT(agent_.process("c1", "c1").out.front().size(), size_t{62} << 20);
}

TEST_F(FaultTest, ARecordThatCannotBeWrittenFailsTheCreate) {
  // Makes the write fail, as a full disk would: a directory that is not empty cannot be replaced.
  ASSERT_EQ(mkdirat(dir_.fd(), kStateFile, 0700), 0);
  dir_.Write(std::string(kStateFile) + "/x", "x");
  Begin();
  auto created = Create();
  ASSERT_FALSE(created);
  EXPECT_THAT(created.error().message(), HasSubstr(kStateFile));
  RunUntilEnd();
}

TEST_F(FaultTest, AVmThatHasNoMoreSlotsForMemory) {
  growth_.fixed = false;
  growth_.host = {.cpus = 8, .memory_mib = 16384};
  FakeStandin standin = Running();
  fake_vm_->memory_slots = 0;
  task::UpdateTaskRequest update;
  update.set_id("c1");
  update.mutable_resources()->set_type_url(kResourcesType);
  update.mutable_resources()->set_value(R"({"memory":{"limit":134217728}})");
  const auto updated = Call<wkt::Empty>("Update", update);
  ASSERT_FALSE(updated);
  EXPECT_EQ(updated.error().code(), Code::kResourceExhausted);
  EXPECT_THAT(updated.error().message(), HasSubstr("all slots are used"));
  task::CreateTaskRequest second = CreateRequest(nullptr);
  second.set_id("c2");
  bundle_.Write("config.json",
                R"({"ociVersion":"1.0.2","process":{"cwd":"/","args":["true"],"user":{"uid":0,"gid":0}},)"
                R"("root":{"path":"rootfs"},"linux":{"resources":{"memory":{"limit":134217728}}}})");
  const auto created = Call<task::CreateTaskResponse>("Create", second);
  ASSERT_FALSE(created);
  EXPECT_EQ(created.error().code(), Code::kResourceExhausted);
  EXPECT_EQ(GetState()->status(), containerd::v1::types::RUNNING);
}

// A container without a record could not be found again.
TEST_F(FaultTest, AContainerThatCannotBeRecordedIsTakenBack) {
  Begin();
  RunUntil([this] { return vm_->vm_settled().happened(); });
  std::filesystem::rename(dir_.path(), dir_.path() + ".away");
  std::filesystem::remove_all(dir_.path() + ".away");
  const auto created = Create();
  ASSERT_FALSE(created);
  EXPECT_THAT(created.error().message(), HasSubstr("state.json"));
  EXPECT_TRUE(AgentWasTold("RemoveContainer c1"));
  EXPECT_FALSE(GetState());
}

}  // namespace
}  // namespace kata::sandbox
