// SPDX-License-Identifier: Apache-2.0
// The agent of the guest lies in every way that HostileLink knows. Each call of either interface must end, use little
// memory, and return text that is safe to print on a terminal.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <vector>

#include "base/text.h"
#include "sandbox/testing/hostile_link.h"
#include "sandbox/testing/sandbox_fixture.h"

namespace kata::sandbox {
namespace {

using testing::Lie;
namespace task = containerd::task::v2;

// The peak of this process's resident memory, in bytes.
size_t Peak() {
  const auto status = ReadFile("/proc/self/status", 64U << 10U);
  const size_t at = status ? status->find("VmHWM:") : std::string::npos;
  return at == std::string::npos ? 0 : std::stoul(status->substr(at + 6)) << 10U;
}
void ForgetPeak() { EXPECT_TRUE(WriteFile("/proc/self/clear_refs", "5")); }

// The outcome of a call: nothing yet, its error, or "".
using Outcome = std::shared_ptr<std::optional<std::string>>;

class LyingAgentTest : public testing::SandboxTest {
 protected:
  LyingAgentTest() : link_(std::make_shared<testing::HostileLink>(io_.get_executor())) {
    fake_vm_->connect = [this] { return link_->Connect(agent_.Connect()); };
    ForgetPeak();
    before_ = Peak();
  }
  void ChangeParts(VmParts& parts) override {
    parts.agent.health_check_request_timeout_ms = 2000;
    parts.agent.reconnect_timeout_ms = 2000;
    parts.agent.create_container_timeout = 2;
    parts.health_interval = std::chrono::milliseconds(20);
    parts.kill_timeout = std::chrono::milliseconds(1000);
  }
  void ChangeInterface(TaskInterface& interface) override { interface.serves_command_line = serves_command_line_; }

  template <typename Reply, typename Request>
  Outcome Ask(const std::string& method, const Request& request) {
    auto outcome = std::make_shared<std::optional<std::string>>();
    asio::co_spawn(io_, CallTask<Reply>(client_, method, request), [outcome](std::exception_ptr, Result<Reply> result) {
      *outcome = result ? "" : result.error().message();
    });
    return outcome;
  }
  template <typename Reply, typename Request>
  Outcome AskAbout(const std::string& method, const std::string& exec = "") {
    Request request;
    request.set_id("c1");
    if constexpr (requires { request.set_exec_id(exec); }) request.set_exec_id(exec);
    if constexpr (requires { request.set_signal(SIGTERM); }) request.set_signal(SIGTERM);
    if constexpr (requires { request.set_stdin(true); }) request.set_stdin(true);
    return Ask<Reply>(method, request);
  }

  // Makes all calls at the same time, except for Shutdown.
  std::vector<Outcome> AskEverything() {
    task::CreateTaskRequest second = CreateRequest(nullptr);
    second.set_id("c2");
    task::UpdateTaskRequest update;
    update.set_id("c1");
    update.mutable_resources()->set_type_url(kResourcesType);
    update.mutable_resources()->set_value(R"({"pids":{"limit":10}})");
    return {AskAbout<task::PidsResponse, task::PidsRequest>("Pids"),
            AskAbout<task::StatsResponse, task::StatsRequest>("Stats"),
            AskAbout<task::StateResponse, task::StateRequest>("State"),
            AskAbout<task::ConnectResponse, task::ConnectRequest>("Connect"),
            AskAbout<wkt::Empty, task::ResizePtyRequest>("ResizePty"),
            AskAbout<wkt::Empty, task::CloseIORequest>("CloseIO"),
            AskAbout<task::StartResponse, task::StartRequest>("Start", "e1"),
            Ask<wkt::Empty>("Exec", ExecRequest("e2", nullptr)),
            Ask<wkt::Empty>("Update", update),
            Ask<task::CreateTaskResponse>("Create", second),
            AskAbout<wkt::Empty, task::PauseRequest>("Pause"),
            AskAbout<wkt::Empty, task::ResumeRequest>("Resume"),
            AskAbout<wkt::Empty, task::CheckpointTaskRequest>("Checkpoint"),
            AskAbout<wkt::Empty, task::KillRequest>("Kill"),
            AskAbout<wkt::Empty, task::KillRequest>("Kill", "e1"),
            AskAbout<task::DeleteResponse, task::DeleteRequest>("Delete")};
  }
  void ExpectAnswered(const std::vector<Outcome>& outcomes) {
    RunUntil(
        [&] { return std::all_of(outcomes.begin(), outcomes.end(), [](const auto& o) { return o->has_value(); }); });
    for (const auto& outcome : outcomes) {
      const std::string& text = **outcome;
      EXPECT_LE(text.size(), 8U << 10U);
      EXPECT_EQ(ForeignText(text, text.size()), text) << "fit for a terminal";
    }
  }
  void ExpectLittleMemory() {
    // The memory includes HostileLink's frames and, with AddressSanitizer, freed memory.
#ifdef __SANITIZE_ADDRESS__
    constexpr size_t kMost = 512U << 20U;
#else
    constexpr size_t kMost = 128U << 20U;
#endif
    EXPECT_LT(Peak() - std::min(before_, Peak()), kMost);
  }

  std::shared_ptr<testing::HostileLink> link_;
  bool serves_command_line_ = true;
  size_t before_ = 0;
};

class EveryLieTest : public LyingAgentTest, public ::testing::WithParamInterface<Lie> {
 protected:
  void LieToARunningSandbox(bool serves_command_line) {
    serves_command_line_ = serves_command_line;
    Begin();
    const auto standin = NewStandin();
    ASSERT_TRUE(Create(&standin));
    ASSERT_TRUE(Start());
    ASSERT_TRUE(Exec("e1"));
    auto waiting = AskAbout<task::WaitResponse, task::WaitRequest>("Wait");
    link_->Tell(GetParam());
    ExpectAnswered(AskEverything());
    // Wait must end as well, which waits as long as the container runs.
    auto kill = AskAbout<wkt::Empty, task::KillRequest>("Kill");
    (void)Kill(SIGKILL);
    ExpectAnswered({waiting, kill});
    const sandbox::State state = Stored();
    EXPECT_LE(state.failure.size(), kMaxFailure);
    EXPECT_EQ(ForeignText(state.failure, kMaxFailure), state.failure);
    ExpectLittleMemory();
  }
};

TEST_P(EveryLieTest, EndsEveryCallOfTheCommandLine) { LieToARunningSandbox(true); }
TEST_P(EveryLieTest, EndsEveryCallOfContainerd) { LieToARunningSandbox(false); }

TEST_P(EveryLieTest, EndsTheStartOfASandbox) {
  link_->Tell(GetParam());
  Begin();
  ExpectAnswered({Ask<task::CreateTaskResponse>("Create", CreateRequest(nullptr))});
  RunUntilEnd();
  EXPECT_FALSE(*ended_);
  ExpectLittleMemory();
}

INSTANTIATE_TEST_SUITE_P(Lies, EveryLieTest, ::testing::ValuesIn(testing::kLies),
                         [](const auto& info) { return std::string(testing::NameOf(info.param)); });

// A list within all limits of size, nested too deeply for any stack.
TEST_F(LyingAgentTest, AListOfProcessesThatIsDeep) {
  agent_.Replace<grpc::GetDiagnosticDataRequest, grpc::GetDiagnosticDataResponse>(
      "GetDiagnosticData",
      [](grpc::GetDiagnosticDataRequest) -> asio::awaitable<Result<grpc::GetDiagnosticDataResponse>> {
        grpc::GetDiagnosticDataResponse reply;
        reply.set_data(R"([{"pid":1,"x":)" + std::string(100000, '[') + std::string(100000, ']') + "}]");
        co_return reply;
      });
  Begin();
  ASSERT_TRUE(Create());
  ASSERT_TRUE(Start());
  EXPECT_FAILS(Simple<task::PidsRequest>("Pids"), Code::kInternal, "no JSON array");
}

TEST_F(LyingAgentTest, AListOfMoreProcessesThanThereCanBe) {
  agent_.Replace<grpc::GetDiagnosticDataRequest, grpc::GetDiagnosticDataResponse>(
      "GetDiagnosticData",
      [](grpc::GetDiagnosticDataRequest) -> asio::awaitable<Result<grpc::GetDiagnosticDataResponse>> {
        grpc::GetDiagnosticDataResponse reply;
        std::string list = R"([{"pid":4294967296},{"pid":-1},{"pid":"1"},7)";
        for (int i = 0; i < 100000; ++i) list += R"(,{"pid":7})";
        reply.set_data(list + "]");
        co_return reply;
      });
  Begin();
  ASSERT_TRUE(Create());
  ASSERT_TRUE(Start());
  task::PidsRequest request;
  request.set_id("c1");
  const auto pids = Call<task::PidsResponse>("Pids", request);
  ASSERT_TRUE(pids) << pids.error().message();
  EXPECT_GT(pids->processes_size(), 1000);
  EXPECT_LE(pids->processes_size(), 4097);
}

TEST_F(LyingAgentTest, ATextOfTheGuestIsCutAndReadable) {
  agent_.create_error = "\x1b[2J" + std::string(30000, 'x');
  Begin();
  const auto created = Create();
  ASSERT_FALSE(created);
  EXPECT_TRUE(created.error().message().starts_with("\\x1b[2Jxxx")) << created.error().message();
  EXPECT_LE(created.error().message().size(), kMaxForeignText);
}

// The agent answers every GetOOMEvent at once.
TEST_F(LyingAgentTest, AStormOfOomEvents) {
  int answers = 0;
  agent_.Replace<grpc::GetOOMEventRequest, grpc::OOMEvent>(
      "GetOOMEvent", [&answers](grpc::GetOOMEventRequest) -> asio::awaitable<Result<grpc::OOMEvent>> {
        grpc::OOMEvent event;
        event.set_container_id(++answers % 2 == 0 ? "c1" : "somebody");
        co_return event;
      });
  Begin();
  const auto began = std::chrono::steady_clock::now();
  ASSERT_TRUE(Create());
  ASSERT_TRUE(Start());
  RunUntil([&] { return answers >= 120; });
  const auto told = std::count_if(events_.begin(), events_.end(), [](const auto& e) { return e.topic == kOomTopic; });
  EXPECT_GE(told, 1);
  EXPECT_LE(told, 1 + (std::chrono::steady_clock::now() - began) / std::chrono::seconds(1));
}

}  // namespace
}  // namespace kata::sandbox
