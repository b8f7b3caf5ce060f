// SPDX-License-Identifier: Apache-2.0
// The agent's services over a real connection, with real containers.
#include <gmock/gmock.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "agent/container/container_fixture.h"
#include "agent/services.h"
#include "base/files.h"
#include "protocol/health.pb.h"
#include "protocol/wkt.pb.h"
#include "rpc/client.h"

namespace kata::agent {
namespace {

using testing::HasSubstr;
using wkt::Empty;

class ServiceTest : public ContainerTest {
 protected:
  static void SetUpTestSuite() {
    signal(SIGPIPE, SIG_IGN);
    // What is mounted here is nobody else's affair.
    ASSERT_EQ(unshare(CLONE_NEWNS), 0);
    ASSERT_EQ(mount(nullptr, "/", nullptr, MS_PRIVATE | MS_REC, nullptr), 0);
  }

  void SetUp() override {
    ContainerTest::SetUp();
    agent::Options options;
    options.cgroup_mount = cgroup_mount_;
    options.hotplug_timeout = std::chrono::seconds(0);
    sandbox_ = std::make_unique<Sandbox>(executor(), *GuestDir::Open(folder_), options);
    AddServices(table_, *sandbox_);
    int ends[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
    asio::co_spawn(executor(), rpc::Serve(rpc::Connection::Create(executor(), UniqueFd(ends[0])), table_),
                   asio::detached);
    client_ = rpc::Client::Create(executor(), UniqueFd(ends[1]));
  }

  void TearDown() override {
    EXPECT_TRUE(Call<Empty>("DestroySandbox", grpc::DestroySandboxRequest()));
    client_->Close();
    ContainerTest::TearDown();
  }

  template <typename Reply, typename Request>
  Result<Reply> Call(const std::string& method, const Request& request) {
    return Await(client_->Call<Reply>("grpc.AgentService", method, request));
  }

  // Starts a call, whose answer arrives in reply.
  template <typename Reply, typename Request>
  void StartCall(const std::string& method, const Request& request, std::optional<Result<Reply>>& reply) {
    asio::co_spawn(executor(), client_->Call<Reply>("grpc.AgentService", method, request),
                   [&reply](std::exception_ptr, Result<Reply> value) { reply = std::move(value); });
  }

  // One round of the event loop.
  static asio::awaitable<bool> Tick() {
    co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
    co_return true;
  }

  // A request of any type about a container or one of its processes.
  template <typename Request>
  static Request On(const std::string& id, const std::string& exec_id) {
    Request request;
    request.set_container_id(id);
    request.set_exec_id(exec_id);
    return request;
  }

  // Every test process has ids of its own: they become cgroups of the machine.
  static std::string Id(const std::string& name) { return fmt::format("kata-service-{}-{}", getpid(), name); }

  grpc::CreateContainerRequest Create(const std::string& id, const std::string& script) const {
    grpc::CreateContainerRequest request;
    request.set_container_id(id);
    request.set_exec_id(id);
    *request.mutable_oci() = Spec(script);
    return request;
  }

  // Creates and starts.
  void Begin(const std::string& id, const std::string& script) {
    auto created = Call<Empty>("CreateContainer", Create(id, script));
    ASSERT_TRUE(created) << created.error().message();
    grpc::StartContainerRequest start;
    start.set_container_id(id);
    auto started = Call<Empty>("StartContainer", start);
    ASSERT_TRUE(started) << started.error().message();
  }

  Result<Empty> Exec(const std::string& id, const std::string& exec_id, const std::string& script,
                     bool terminal = false) {
    auto request = On<grpc::ExecProcessRequest>(id, exec_id);
    *request.mutable_process() = Script(script);
    request.mutable_process()->set_terminal(terminal);
    return Call<Empty>("ExecProcess", request);
  }

  std::string Read(const std::string& id, const std::string& exec_id, const std::string& method = "ReadStdout") {
    std::string all;
    auto request = On<grpc::ReadStreamRequest>(id, exec_id);
    request.set_len(UINT32_MAX);
    for (;;) {
      auto reply = Call<grpc::ReadStreamResponse>(method, request);
      EXPECT_TRUE(reply) << reply.error().message();
      if (!reply || reply->data().empty()) return all;
      all += reply->data();
    }
  }

  int Wait(const std::string& id, const std::string& exec_id) {
    auto reply = Call<grpc::WaitProcessResponse>("WaitProcess", On<grpc::WaitProcessRequest>(id, exec_id));
    EXPECT_TRUE(reply) << reply.error().message();
    return reply ? reply->status() : -1;
  }

  Result<Empty> Signal(const std::string& id, const std::string& exec_id, uint32_t signal) {
    auto request = On<grpc::SignalProcessRequest>(id, exec_id);
    request.set_signal(signal);
    return Call<Empty>("SignalProcess", request);
  }

  Result<Empty> Remove(const std::string& id) {
    grpc::RemoveContainerRequest request;
    request.set_container_id(id);
    return Call<Empty>("RemoveContainer", request);
  }

  bool Exists(const std::string& path) const {
    struct stat status {};
    return lstat((folder_ + "/" + path).c_str(), &status) == 0;
  }

  std::unique_ptr<Sandbox> sandbox_;
  rpc::MethodTable table_;
  std::shared_ptr<rpc::Client> client_;
};

TEST_F(ServiceTest, HealthAndDetails) {
  grpc::CheckRequest request;
  EXPECT_EQ(Await(client_->Call<grpc::HealthCheckResponse>("grpc.Health", "Check", request))->status(),
            grpc::HealthCheckResponse::SERVING);
  EXPECT_EQ(Await(client_->Call<grpc::VersionCheckResponse>("grpc.Health", "Version", request))->agent_version(),
            KATA_VERSION);
  auto details = Call<grpc::GuestDetailsResponse>("GetGuestDetails", grpc::GuestDetailsRequest());
  ASSERT_TRUE(details);
  EXPECT_THAT(details->agent_details().storage_handlers(),
              testing::UnorderedElementsAre("virtio-fs", "ephemeral", "local", "bind", "9p", "blk", "mmioblk", "scsi",
                                            "nvdimm", "overlayfs", "watchable-bind"));
  EXPECT_FALSE(details->agent_details().init_daemon());
}

TEST_F(ServiceTest, AContainerFromCreateToRemove) {
  const std::string id = Id("life");
  ASSERT_TRUE(Call<Empty>("CreateContainer", Create(id, "echo out; echo err >&2; exit 7")));
  EXPECT_TRUE(Exists(id + "/rootfs/bin/busybox")) << "the rootfs has a mount of its own";
  std::optional<Result<grpc::WaitProcessResponse>> waiting;
  StartCall("WaitProcess", On<grpc::WaitProcessRequest>(id, id), waiting);
  EXPECT_EQ(Call<Empty>("CreateContainer", Create(id, "true")).error().code(), Code::kAlreadyExists);
  EXPECT_FALSE(waiting) << "it is created, and not started";
  grpc::StartContainerRequest start;
  start.set_container_id(id);
  ASSERT_TRUE(Call<Empty>("StartContainer", start));
  EXPECT_EQ(Read(id, id), "out\n");
  EXPECT_EQ(Read(id, id, "ReadStderr"), "err\n");
  EXPECT_EQ(Wait(id, id), 7);
  ASSERT_TRUE(waiting && *waiting);
  EXPECT_EQ((*waiting)->status(), 7);
  EXPECT_EQ(Wait(id, ""), 7) << "an empty id is the init's; its status stays until it is removed";
  EXPECT_EQ(Signal(id, id, SIGTERM).error().code(), Code::kNotFound);
  ASSERT_TRUE(Remove(id));
  EXPECT_FALSE(Exists(id));
  EXPECT_TRUE(Exists("rootfs/bin/busybox"));
  EXPECT_EQ(Remove(id).error().code(), Code::kNotFound);
  ASSERT_TRUE(Call<Empty>("CreateContainer", Create(id, "true"))) << "the id is free again";
}

TEST_F(ServiceTest, AFailedCreateLeavesNothing) {
  const std::string id = Id("failed");
  auto request = Create(id, "");
  request.mutable_oci()->mutable_process()->set_args(0, "no-such-program");
  auto* storage = request.add_storages();
  storage->set_driver("local");
  storage->set_mount_point(folder_ + "/volume");
  auto created = Call<Empty>("CreateContainer", request);
  ASSERT_FALSE(created);
  EXPECT_EQ(created.error().code(), Code::kNotFound);
  EXPECT_THAT(created.error().message(), HasSubstr("executable file not found in $PATH"));
  EXPECT_FALSE(Exists(id));
  EXPECT_FALSE(Exists("volume"));
  EXPECT_EQ(Remove(id).error().code(), Code::kNotFound);
}

TEST_F(ServiceTest, StoragesLiveAsLongAsTheContainer) {
  const std::string id = Id("storage");
  auto request = Create(id, "exec sleep 1000");
  auto* storage = request.add_storages();
  storage->set_driver("ephemeral");
  storage->set_source("tmpfs");
  storage->set_mount_point(folder_ + "/memory");
  AddMount(request.mutable_oci(), "/data", "bind", folder_ + "/memory", {"rbind"});
  auto created = Call<Empty>("CreateContainer", request);
  ASSERT_TRUE(created) << created.error().message();
  EXPECT_EQ(sandbox_->storages().size(), 1U);
  ASSERT_TRUE(Remove(id)) << "also when it was never started";
  EXPECT_EQ(sandbox_->storages().size(), 0U);
  EXPECT_FALSE(Exists("memory"));
}

TEST_F(ServiceTest, ExecTakesStdinAndIsForgotten) {
  const std::string id = Id("exec");
  Begin(id, "exec sleep 1000");
  ASSERT_TRUE(Exec(id, "e1", "cat; exit 5"));
  EXPECT_EQ(Exec(id, "e1", "true").error().code(), Code::kAlreadyExists);
  auto write = On<grpc::WriteStreamRequest>(id, "e1");
  write.set_data(std::string("binary \0 data", 13));
  auto written = Call<grpc::WriteStreamResponse>("WriteStdin", write);
  ASSERT_TRUE(written);
  EXPECT_EQ(written->len(), 13U);
  ASSERT_TRUE(Call<Empty>("CloseStdin", On<grpc::CloseStdinRequest>(id, "e1")));
  EXPECT_EQ(Call<grpc::WriteStreamResponse>("WriteStdin", write).error().code(), Code::kFailedPrecondition);
  EXPECT_EQ(Read(id, "e1"), write.data());
  EXPECT_EQ(Read(id, "e1", "ReadStderr"), "");
  EXPECT_EQ(Wait(id, "e1"), 5);
  auto again = Call<grpc::WaitProcessResponse>("WaitProcess", On<grpc::WaitProcessRequest>(id, "e1"));
  EXPECT_EQ(again.error().code(), Code::kNotFound) << "nothing of it is left";
  ASSERT_TRUE(Exec(id, "e1", "true")) << "and its id is free";
}

TEST_F(ServiceTest, TwoHundredExecsWithoutStdin) {
  const std::string id = Id("many");
  Begin(id, "exec sleep 1000");
  for (int i = 0; i < 200; ++i) {
    const std::string exec = fmt::format("e{}", i);
    ASSERT_TRUE(Exec(id, exec, "true"));
    std::optional<Result<Empty>> closed;
    std::optional<Result<grpc::WaitProcessResponse>> status;
    // As with /dev/null: closed at once, whatever the process does meanwhile.
    StartCall("CloseStdin", On<grpc::CloseStdinRequest>(id, exec), closed);
    StartCall("WaitProcess", On<grpc::WaitProcessRequest>(id, exec), status);
    EXPECT_EQ(Read(id, exec), "");
    EXPECT_EQ(Read(id, exec, "ReadStderr"), "");
    while (!status) Await(Tick());
    ASSERT_TRUE(*status);
    EXPECT_EQ((*status)->status(), 0);
  }
}

TEST_F(ServiceTest, ATerminalIsOneStream) {
  const std::string id = Id("tty");
  auto request = Create(id, "stty size; read line; stty size; echo got $line");
  request.mutable_oci()->mutable_process()->set_terminal(true);
  request.mutable_oci()->mutable_process()->mutable_consolesize()->set_height(33);
  request.mutable_oci()->mutable_process()->mutable_consolesize()->set_width(77);
  auto created = Call<Empty>("CreateContainer", request);
  ASSERT_TRUE(created) << created.error().message();
  grpc::StartContainerRequest start;
  start.set_container_id(id);
  ASSERT_TRUE(Call<Empty>("StartContainer", start));
  auto read = On<grpc::ReadStreamRequest>(id, id);
  read.set_len(4096);
  auto first = Call<grpc::ReadStreamResponse>("ReadStdout", read);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->data(), "33 77\r\n");
  auto resize = On<grpc::TtyWinResizeRequest>(id, id);
  resize.set_row(50);
  resize.set_column(132);
  ASSERT_TRUE(Call<Empty>("TtyWinResize", resize));
  auto write = On<grpc::WriteStreamRequest>(id, id);
  write.set_data("hello\n");
  ASSERT_TRUE(Call<grpc::WriteStreamResponse>("WriteStdin", write));
  EXPECT_EQ(Read(id, id), "hello\r\n50 132\r\ngot hello\r\n");
  EXPECT_EQ(Read(id, id, "ReadStderr"), "");
  EXPECT_EQ(Wait(id, id), 0);
}

TEST_F(ServiceTest, SignalsGoToOneOrToAll) {
  const std::string id = Id("signals");
  Begin(id, "trap 'exit 3' TERM; while :; do sleep 1; done");
  ASSERT_TRUE(Exec(id, "e1", "exec sleep 1000"));
  ASSERT_TRUE(Exec(id, "e2", "exec sleep 1000"));
  ASSERT_TRUE(Signal(id, "e1", SIGUSR1));
  EXPECT_EQ(Wait(id, "e1"), 128 + SIGUSR1);
  ASSERT_TRUE(Signal(id, "", SIGKILL));
  EXPECT_EQ(Wait(id, "e2"), 137);
  EXPECT_EQ(Wait(id, id), 137);
  EXPECT_EQ(Signal(id, id, SIGKILL).error().code(), Code::kNotFound);
  EXPECT_EQ(Signal(id, id, 65).error().code(), Code::kInvalidArgument);
  EXPECT_EQ(Signal(id, id, UINT32_MAX).error().code(), Code::kInvalidArgument);
}

TEST_F(ServiceTest, PausedProcessesStandStill) {
  const std::string id = Id("pause");
  Begin(id, "exec sleep 1000");
  grpc::PauseContainerRequest pause;
  pause.set_container_id(id);
  ASSERT_TRUE(Call<Empty>("PauseContainer", pause));
  EXPECT_EQ(Exec(id, "e", "true").error().code(), Code::kFailedPrecondition);
  grpc::ResumeContainerRequest resume;
  resume.set_container_id(id);
  ASSERT_TRUE(Call<Empty>("ResumeContainer", resume));
  ASSERT_TRUE(Exec(id, "e", "true"));
}

TEST_F(ServiceTest, ProcessesAreListed) {
  const std::string id = Id("ps");
  Begin(id, "exec sleep 1000");
  grpc::GetDiagnosticDataRequest request;
  request.set_container_id(id);
  request.set_log_type("processes");
  std::string list;
  do {
    // Until the shell has become what it was told to.
    auto reply = Call<grpc::GetDiagnosticDataResponse>("GetDiagnosticData", request);
    ASSERT_TRUE(reply) << reply.error().message();
    list = reply->data();
  } while (list.find("\"cmd\":\"sleep 1000\"") == std::string::npos);
  EXPECT_THAT(list, testing::MatchesRegex("\\[\\{\"pid\":[0-9]+,.*\"cmd\":\"sleep 1000\"\\}\\]"));
  request.set_log_type("termination");
  EXPECT_EQ(Call<grpc::GetDiagnosticDataResponse>("GetDiagnosticData", request).error().code(), Code::kUnimplemented);
}

TEST_F(ServiceTest, StringUsersAreLookedUpInTheContainer) {
  const UniqueFd etc = *Open(root_ + "/etc", O_RDONLY | O_DIRECTORY);
  ASSERT_TRUE(WriteFileAtomic(etc.get(), "passwd", "web:x:1001:1002::/:\n", 0644));
  const std::string id = Id("user");
  auto request = Create(id, "id -u; id -g; exec sleep 1000");
  request.mutable_string_user()->set_uid("web");
  ASSERT_TRUE(Call<Empty>("CreateContainer", request));
  grpc::StartContainerRequest start;
  start.set_container_id(id);
  ASSERT_TRUE(Call<Empty>("StartContainer", start));
  auto read = On<grpc::ReadStreamRequest>(id, id);
  read.set_len(4096);
  std::string text;
  while (text.size() < 10) text += Call<grpc::ReadStreamResponse>("ReadStdout", read)->data();
  EXPECT_EQ(text, "1001\n1002\n");
  auto exec = On<grpc::ExecProcessRequest>(id, "e");
  *exec.mutable_process() = Script("true");
  exec.mutable_string_user()->set_uid("nobody-here");
  EXPECT_EQ(Call<Empty>("ExecProcess", exec).error().code(), Code::kNotFound);
}

TEST_F(ServiceTest, ThePodsNamespacesAreShared) {
  grpc::CreateSandboxRequest sandbox;
  sandbox.set_hostname("the-pod");
  sandbox.set_sandbox_pidns(true);
  sandbox.add_dns("nameserver 192.0.2.53");
  auto made = Call<Empty>("CreateSandbox", sandbox);
  ASSERT_TRUE(made) << made.error().message();
  EXPECT_EQ(Call<Empty>("CreateSandbox", sandbox).error().code(), Code::kAlreadyExists);
  EXPECT_EQ(*ReadFile(folder_ + "/sandbox/resolv.conf"), "nameserver 192.0.2.53\n");
  std::string outputs[2];
  for (int i = 0; i < 2; ++i) {
    const std::string id = Id(fmt::format("pod{}", i));
    auto request = Create(id, "hostname; for n in pid ipc uts; do readlink /proc/self/ns/$n; done");
    request.set_sandbox_pidns(true);
    request.mutable_oci()->clear_hostname();
    for (auto& wanted : *request.mutable_oci()->mutable_linux()->mutable_namespaces()) {
      if (wanted.type() == "ipc" || wanted.type() == "uts") wanted.set_path("/the/pods");
    }
    auto created = Call<Empty>("CreateContainer", request);
    ASSERT_TRUE(created) << created.error().message();
    grpc::StartContainerRequest start;
    start.set_container_id(id);
    ASSERT_TRUE(Call<Empty>("StartContainer", start));
    outputs[i] = Read(id, id);
  }
  EXPECT_THAT(outputs[0], testing::StartsWith("the-pod\npid:["));
  EXPECT_EQ(outputs[0], outputs[1]);
}

TEST_F(ServiceTest, DestroyTakesEverything) {
  const std::string id = Id("destroyed");
  Begin(id, "exec sleep 1000");
  std::optional<Result<grpc::WaitProcessResponse>> waiting;
  StartCall("WaitProcess", On<grpc::WaitProcessRequest>(id, id), waiting);
  ASSERT_TRUE(Call<Empty>("DestroySandbox", grpc::DestroySandboxRequest()));
  while (!waiting) Await(Tick());
  ASSERT_TRUE(*waiting);
  EXPECT_EQ((*waiting)->status(), 137);
  EXPECT_FALSE(Exists(id));
  EXPECT_EQ(Call<Empty>("CreateContainer", Create(id, "true")).error().code(), Code::kFailedPrecondition);
}

TEST_F(ServiceTest, HostileRequestsAreRefused) {
  const std::string id = Id("hostile");
  Begin(id, "exec sleep 1000");
  for (const std::string& bad :
       {std::string(), std::string("."), std::string(".."), std::string("../x"), std::string("a/b"), std::string("a b"),
        std::string("a\0b", 3), std::string("\xc3\xa4"), std::string(256, 'x'), std::string(1 << 20, 'x')}) {
    EXPECT_EQ(Call<Empty>("CreateContainer", Create(bad, "true")).error().code(), Code::kInvalidArgument);
    EXPECT_EQ(Remove(bad).error().code(), Code::kInvalidArgument);
    EXPECT_EQ(Exec(id, bad, "true").error().code(), Code::kInvalidArgument);
    if (bad.empty()) continue;
    EXPECT_EQ(Signal(id, bad, 0).error().code(), Code::kNotFound);
  }
  EXPECT_EQ(Exec(id, id, "true").error().code(), Code::kAlreadyExists);
  EXPECT_EQ(Exec("unknown", "e", "true").error().code(), Code::kNotFound);
  EXPECT_EQ(Signal("unknown", "", SIGKILL).error().code(), Code::kNotFound);
  EXPECT_EQ(Call<Empty>("CloseStdin", On<grpc::CloseStdinRequest>(id, "unknown")).error().code(), Code::kNotFound);

  const std::string other = Id("other");
  auto device = Create(other, "true");
  device.add_devices()->set_type("vfio-pci");
  EXPECT_THAT(Call<Empty>("CreateContainer", device).error().message(), HasSubstr("vfio-pci"));
  auto storage = Create(other, "true");
  storage.add_storages()->set_driver("tape");
  EXPECT_THAT(Call<Empty>("CreateContainer", storage).error().message(), HasSubstr("\"tape\""));
  storage.mutable_storages(0)->set_driver("blk");
  storage.mutable_storages(0)->set_source("10/1f");
  EXPECT_EQ(Call<Empty>("CreateContainer", storage).error().code(), Code::kNotFound) << "it is not plugged in";
  for (const char* root : {"/", "/etc", "", "rootfs"}) {
    auto elsewhere = Create(other, "true");
    elsewhere.mutable_oci()->mutable_root()->set_path(root);
    EXPECT_EQ(Call<Empty>("CreateContainer", elsewhere).error().code(), Code::kInvalidArgument) << root;
  }
  grpc::CreateContainerRequest nothing;
  nothing.set_container_id(other);
  EXPECT_EQ(Call<Empty>("CreateContainer", nothing).error().code(), Code::kInvalidArgument);

  grpc::CreateSandboxRequest modules;
  modules.add_kernel_modules()->set_name("no-such-module");
  EXPECT_THAT(Call<Empty>("CreateSandbox", modules).error().message(), HasSubstr("no-such-module"));
  grpc::CreateSandboxRequest hooks;
  hooks.set_guest_hook_path("/hooks");
  EXPECT_THAT(Call<Empty>("CreateSandbox", hooks).error().message(), HasSubstr("/hooks"));

  grpc::SetGuestDateTimeRequest time;
  time.set_usec(1000000);
  EXPECT_EQ(Call<Empty>("SetGuestDateTime", time).error().code(), Code::kInvalidArgument);
  EXPECT_EQ(Call<Empty>("ReseedRandomDev", grpc::ReseedRandomDevRequest()).error().code(), Code::kInvalidArgument);
  EXPECT_EQ(Call<Empty>("AddSwap", grpc::AddSwapRequest()).error().code(), Code::kInvalidArgument);
  grpc::AddSwapPathRequest swap;
  swap.set_path("/dev/../etc/passwd");
  EXPECT_EQ(Call<Empty>("AddSwapPath", swap).error().code(), Code::kInvalidArgument);
  auto policy = Call<Empty>("SetPolicy", grpc::SetPolicyRequest());
  EXPECT_EQ(policy.error().code(), Code::kUnimplemented);
  EXPECT_THAT(policy.error().message(), HasSubstr("SetPolicy"));
}

TEST_F(ServiceTest, OomEventsWaitForOneAnother) {
  std::optional<Result<grpc::OOMEvent>> event;
  StartCall("GetOOMEvent", grpc::GetOOMEventRequest(), event);
  Await(Tick());
  EXPECT_FALSE(event);
  sandbox_->ReportOom("first");
  sandbox_->ReportOom("second");
  while (!event) Await(Tick());
  EXPECT_EQ((*event)->container_id(), "first");
  EXPECT_EQ(Call<grpc::OOMEvent>("GetOOMEvent", grpc::GetOOMEventRequest())->container_id(), "second");
}

TEST_F(ServiceTest, EntropyIsMixedIn) {
  grpc::ReseedRandomDevRequest request;
  request.set_data(std::string(512, 'r'));
  auto reseeded = Call<Empty>("ReseedRandomDev", request);
  EXPECT_TRUE(reseeded) << reseeded.error().message();
}

}  // namespace
}  // namespace kata::agent
