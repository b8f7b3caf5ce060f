// SPDX-License-Identifier: Apache-2.0
// What the agent answers about itself, its containers and their storages.
#include <gmock/gmock.h>
#include <sys/stat.h>

#include "agent/service_fixture.h"
#include "base/files.h"
#include "protocol/health.pb.h"

namespace kata::agent {
namespace {

using testing::HasSubstr;
using wkt::Empty;

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
  storage->set_mount_point(directory_ + "/volume");
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
  storage->set_mount_point(directory_ + "/memory");
  AddMount(request.mutable_oci(), "/data", "bind", directory_ + "/memory", {"rbind"});
  auto created = Call<Empty>("CreateContainer", request);
  ASSERT_TRUE(created) << created.error().message();
  EXPECT_EQ(pod_->storages().size(), 1U);
  ASSERT_TRUE(Remove(id)) << "also when it was never started";
  EXPECT_EQ(pod_->storages().size(), 0U);
  EXPECT_FALSE(Exists("memory"));
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

TEST_F(ServiceTest, ThePodsNamespacesAreShared) {
  grpc::CreateSandboxRequest pod;
  pod.set_hostname("the-pod");
  pod.set_sandbox_pidns(true);
  pod.add_dns("nameserver 192.0.2.53");
  auto made = Call<Empty>("CreateSandbox", pod);
  ASSERT_TRUE(made) << made.error().message();
  EXPECT_EQ(Call<Empty>("CreateSandbox", pod).error().code(), Code::kAlreadyExists);
  EXPECT_EQ(*ReadFile(directory_ + "/sandbox/resolv.conf"), "nameserver 192.0.2.53\n");
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
  pod_->ReportOom("first");
  pod_->ReportOom("second");
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
