// SPDX-License-Identifier: Apache-2.0
// Several containers of the command line in one sandbox, which come and go in any order.
#include <algorithm>
#include <filesystem>

#include "protocol/guest_contract.h"
#include "protocol/leave.pb.h"
#include "sandbox/testing/sandbox_fixture.h"

namespace kata::sandbox {
namespace {

namespace fs = std::filesystem;
namespace types = containerd::v1::types;
namespace task = containerd::task::v2;
using testing::FakeStandin;
using ::testing::HasSubstr;

class LeaveTest : public testing::SandboxTest {
 protected:
  // Higher than any pid of a kernel: the sandbox must find no process of the host's by a fake stand-in's.
  LeaveTest() { next_pid_ = 5000000; }

  void ChangeSandbox(SandboxParts& parts) override {
    fs::create_directory(dir_.path() + "/shared");
    parts.root = root_.fd();
  }

  // What `create` has made before it calls Create. This process is everybody's stand-in, so that the sandbox stays in
  // its cgroups.
  void Claim(const std::string& id) {
    auto directory = ClaimDirectory(root_.path(), id);
    ASSERT_TRUE(directory) << directory.error().message();
    State state;
    state.id = id;
    state.created = FormatNow();
    state.standin = *IdentifyProcess(getpid());
    ASSERT_TRUE(StoreState(directory->get(), state));
  }
  Result<task::CreateTaskResponse> CreateNamed(const std::string& id, const FakeStandin& standin) {
    task::CreateTaskRequest request = CreateRequest(&standin);
    request.set_id(id);
    return Call<task::CreateTaskResponse>("Create", request);
  }
  FakeStandin Run(const std::string& id) {
    FakeStandin standin = NewStandin("", id);
    EXPECT_TRUE(CreateNamed(id, standin));
    task::StartRequest request;
    request.set_id(id);
    EXPECT_TRUE(Call<task::StartResponse>("Start", request));
    return standin;
  }
  Result<LeaveResponse> Leave(const std::string& id) {
    LeaveRequest request;
    request.set_id(id);
    return Call<LeaveResponse>("Leave", request);
  }
  State Record(const std::string& id) const { return *LoadState(OpenDirectory(root_.path(), id)->get()); }
  // The directory that has the mount point of the shared files: "" is the sandbox's.
  std::string Home() const {
    if (fs::exists(dir_.path() + "/shared")) return "c1";
    for (const auto& entry : fs::directory_iterator(root_.path())) {
      if (fs::exists(entry.path() / "shared")) return entry.path().filename();
    }
    return "nowhere";
  }
  static void AwaitExit(LeaveTest& test, const FakeStandin& standin, const std::string& status) {
    std::string told;
    test.RunUntil([&] {
      told = standin.Received();
      return !told.empty();
    });
    EXPECT_EQ(told, "X " + status);
  }

  testing::TempDir root_;
};

TEST_F(LeaveTest, InAnyOrderAndTheirIdsAreFreeAgain) {
  Begin();
  const FakeStandin first = Run("c1");
  Claim("c2");
  const FakeStandin second = Run("c2");
  EXPECT_EQ(Record("c2").status, Status::kRunning);
  EXPECT_EQ(Record("c2").sandbox, Stored().sandbox);
  EXPECT_EQ(Home(), "c1");

  auto left = Leave("c1");
  ASSERT_TRUE(left) << left.error().message();
  EXPECT_FALSE(left->sandbox_ends());
  EXPECT_TRUE(AgentWasTold("SignalProcess c1 c1 9"));
  EXPECT_TRUE(AgentWasTold("RemoveContainer c1"));
  AwaitExit(*this, first, "137");
  EXPECT_EQ(Stored().status, Status::kStopped);
  EXPECT_EQ(Stored().exit_status, 137);
  EXPECT_EQ(Home(), "c2");
  EXPECT_FALSE(sandbox_->ending());

  agent_.process("c1", "c1") = {};
  Claim("c1");
  const FakeStandin again = Run("c1");
  EXPECT_EQ(Record("c1").status, Status::kRunning);
  EXPECT_EQ(Stored().status, Status::kStopped) << "what was the first one's is nobody's now";
  ASSERT_FALSE(Leave("c2")->sandbox_ends());
  AwaitExit(*this, second, "137");
  EXPECT_TRUE(fs::exists(root_.path() + "/c1/shared"));
  EXPECT_TRUE(Leave("c1")->sandbox_ends());
  RunUntilEnd();
  AwaitExit(*this, again, "137");
  EXPECT_EQ(Record("c1").exit_status, 137);
}

TEST_F(LeaveTest, TheSandboxMovesBeforeAnybodyIsToldOfAnEnd) {
  Begin();
  const FakeStandin first = Run("c1");
  Claim("c2");
  const FakeStandin second = Run("c2");
  agent_.End("c1", "c1", 4);
  AwaitExit(*this, first, "4");
  EXPECT_EQ(Home(), "c2");
  EXPECT_EQ(Stored().exit_status, 4);
  EXPECT_FALSE(sandbox_->ending());
  agent_.End("c2", "c2", 5);
  AwaitExit(*this, second, "5");
  RunUntilEnd();
  EXPECT_EQ(Record("c2").status, Status::kStopped);
  EXPECT_EQ(Record("c2").exit_status, 5);
}

TEST_F(LeaveTest, OneThatEndedBeforeTheNextCameIsLeftThen) {
  Begin();
  const FakeStandin first = Run("c1");
  Claim("c2");
  const FakeStandin second = NewStandin("", "c2");
  agent_.Replace<grpc::CreateContainerRequest, wkt::Empty>(
      "CreateContainer", [&](grpc::CreateContainerRequest) -> asio::awaitable<Result<wkt::Empty>> {
        agent_.End("c1", "c1", 0);
        co_return Fail(Code::kInternal, "not today");
      });
  EXPECT_FALSE(CreateNamed("c2", second));
  RunUntilEnd();
  EXPECT_EQ(*ended_, true) << "a container that failed keeps no sandbox alive";
}

TEST_F(LeaveTest, AStrangerChangesNothing) {
  Begin();
  const FakeStandin first = Run("c1");
  EXPECT_FALSE(Leave("c3")->sandbox_ends());
  EXPECT_EQ(GetState()->status(), types::RUNNING);
}

TEST_F(LeaveTest, OnlyAContainerThatIsBeingCreatedIsTaken) {
  Begin();
  const FakeStandin first = Run("c1");
  FakeStandin second = NewStandin("", "c2");
  EXPECT_FAILS(CreateNamed("c2", second), Code::kUnknown, "the directory of the container c2");
  Claim("c2");
  State state = Record("c2");
  state.status = Status::kRunning;
  ASSERT_TRUE(StoreState(OpenDirectory(root_.path(), "c2")->get(), state));
  EXPECT_FAILS(CreateNamed("c2", second), Code::kInvalidArgument, "not of one that is being created");
  EXPECT_EQ(GetState()->status(), types::RUNNING);
}

TEST_F(LeaveTest, AStopEndsTheContainerInWhoseCgroupsTheSandboxIs) {
  Begin();
  const FakeStandin first = Run("c1");
  Claim("c2");
  const FakeStandin second = Run("c2");
  bool stopped = false;
  asio::co_spawn(io_, Sandbox::Stop(sandbox_, SIGTERM), [&](std::exception_ptr) { stopped = true; });
  agent_.End("c1", "c1", 143);  // its stand-in has had the signal, too
  RunUntil([&] { return stopped; });
  EXPECT_FALSE(sandbox_->ending());
  EXPECT_FALSE(AgentWasTold("SignalProcess c2 c2 15"));
  stopped = false;
  asio::co_spawn(io_, Sandbox::Stop(sandbox_, SIGTERM), [&](std::exception_ptr) { stopped = true; });
  agent_.End("c2", "c2", 143);
  RunUntil([&] { return stopped; });
  RunUntilEnd();
}

TEST_F(LeaveTest, AVmThatFailsEndsAllAndSaysWhyInEachRecord) {
  Begin();
  const FakeStandin first = Run("c1");
  Claim("c2");
  const FakeStandin second = Run("c2");
  fake_vm_->Die("QEMU has had enough");
  RunUntilEnd();
  AwaitExit(*this, first, "137");
  AwaitExit(*this, second, "137");
  EXPECT_NE(Stored().failure, "");
  EXPECT_EQ(Record("c2").failure, Stored().failure);
}

TEST_F(LeaveTest, NamespacesAreThoseOfTheContainersWhoseStandInsTheSpecNames) {
  Begin();
  const FakeStandin first = Run("c1");
  Claim("c2");
  const FakeStandin second = NewStandin("", "c2");
  const auto spec = [this](const std::string& annotations, pid_t pid) {
    WriteSpec(fmt::format(
        R"({{"ociVersion":"1.0.2","annotations":{{{}}},"process":{{"cwd":"/","args":["true"],"user":{{"uid":0,"gid":0}}}},)"
        R"("root":{{"path":"rootfs"}},"linux":{{"namespaces":[{{"type":"mount"}},{{"type":"pid"}},)"
        R"({{"type":"ipc","path":"/proc/{}/ns/ipc"}},{{"type":"uts","path":"/run/utsns/x"}}]}}}})",
        annotations, pid));
  };
  spec("", first.pid);
  EXPECT_FAILS(CreateNamed("c2", second), Code::kUnimplemented,
               "linux.namespaces[3].path: /run/utsns/x is not the uts");
  ASSERT_TRUE(RemoveDirectory(root_.path(), "c2"));
  Claim("c2");
  const FakeStandin third = NewStandin("", "c2");
  spec(R"("io.kubernetes.cri-o.ContainerType":"container","io.kubernetes.cri-o.SandboxID":"c1")", first.pid);
  ASSERT_TRUE(CreateNamed("c2", third));
  std::map<std::string, std::string> paths;
  for (const auto& space : agent_.created.oci().linux().namespaces()) paths[space.type()] = space.path();
  EXPECT_EQ(paths["ipc"], std::string(contract::kNamespaceOfContainer) + "c1");
  EXPECT_EQ(paths["uts"], "/proc/1/ns/uts") << "the one that the guest has for all of the pod";
  EXPECT_EQ(paths["pid"], "");
}

}  // namespace
}  // namespace kata::sandbox
