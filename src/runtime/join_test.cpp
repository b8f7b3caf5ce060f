// SPDX-License-Identifier: Apache-2.0
#include "runtime/join.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/child.h"
#include "base/files.h"

namespace kata::runtime {
namespace {

using testing::HasSubstr;

// Containers as their records and stand-ins show them. Each sandbox has a process, and a network namespace.
class Join : public testing::Test {
 protected:
  struct Sandbox {
    Child process;
    UniqueFd network;  // not valid: the host's
  };

  void SetUp() override { ASSERT_NE(mkdtemp(root_.data()), nullptr); }
  void TearDown() override { ASSERT_TRUE(RemoveTree(root_)); }

  // A process in new namespaces, or in this network (-1: the test's).
  static Child Wait(uint64_t flags, int network) {
    int ends[2];
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    const UniqueFd there(ends[0]);
    UniqueFd here(ends[1]);
    auto child = Fork({.fds = {-1, -1, -1, network, here.get()}, .flags = flags}, [network] {
      if (network >= 0 && setns(3, CLONE_NEWNET) != 0) return;
      if (write(4, "1", 1) != 1) return;
      for (;;) pause();
    });
    EXPECT_TRUE(child);
    here.Reset();
    char byte = 0;
    EXPECT_EQ(read(there.get(), &byte, 1), 1) << "it is where it is to be";
    return *std::move(child);
  }
  static UniqueFd NetworkOf(const Child& process) {
    auto fd = Open(fmt::format("/proc/{}/ns/net", process.pid()), O_RDONLY);
    EXPECT_TRUE(fd);
    return *std::move(fd);
  }
  static Sandbox NewSandbox(bool own_network = true) {
    Sandbox sandbox{.process = Wait(own_network ? CLONE_NEWNET : 0, -1), .network = {}};
    if (own_network) sandbox.network = NetworkOf(sandbox.process);
    return sandbox;
  }

  // The stand-in of a new container in a sandbox, whose record has this status.
  Child Contain(const std::string& id, const Sandbox& sandbox, sandbox::Status status = sandbox::Status::kRunning) {
    Child standin = Wait(0, sandbox.network ? sandbox.network.get() : -1);
    sandbox::State state;
    state.id = id;
    state.status = status;
    state.standin = *IdentifyProcess(standin.pid());
    state.sandbox = *IdentifyProcess(sandbox.process.pid());
    auto directory = ClaimDirectory(root_, id);
    EXPECT_TRUE(directory);
    EXPECT_TRUE(sandbox::StoreState(directory->get(), state));
    return standin;
  }
  static std::string Of(const Child& standin, const char* name) {
    return fmt::format("/proc/{}/ns/{}", standin.pid(), name);
  }
  static void Add(oci::Bundle& bundle, const char* type, const std::string& path) {
    grpc::LinuxNamespace& space = *bundle.spec.mutable_linux()->add_namespaces();
    space.set_type(type);
    space.set_path(path);
  }
  static oci::Bundle OfPod(const std::string& first) {
    oci::Bundle bundle;
    for (const auto& [key, value] : {std::pair{"io.kubernetes.cri-o.ContainerType", std::string("container")},
                                     {"io.kubernetes.cri-o.SandboxID", first}}) {
      bundle.annotations[key] = value;
      (*bundle.spec.mutable_annotations())[key] = value;
    }
    return bundle;
  }

  // The id of the container that is found, "" for none, or the error's message.
  std::string Found(const oci::Bundle& bundle) const {
    const auto found = FindSandbox(root_, bundle);
    if (!found) return found.error().message();
    return *found ? (*found)->id : "";
  }

  std::string root_ = "/tmp/kata-join-XXXXXX";
};

TEST_F(Join, ABundleThatNamesNobodyHasASandboxOfItsOwn) {
  const Sandbox one = NewSandbox();
  const Child a = Contain("a", one);
  oci::Bundle bundle;
  Add(bundle, "network", "");
  EXPECT_EQ(Found(bundle), "");
}

TEST_F(Join, ByTheNamespacesOfAStandin) {
  const Sandbox one = NewSandbox();
  const Sandbox two = NewSandbox();
  const Child a = Contain("a", one);
  const Child b = Contain("b", two);
  const Child c = Contain("c", two);
  for (const char* type : {"ipc", "pid", "uts", "user"}) {
    oci::Bundle bundle;
    Add(bundle, "network", Of(a, "net"));
    Add(bundle, type, Of(a, type));
    EXPECT_EQ(Found(bundle), "a");
  }
  oci::Bundle both;
  Add(both, "ipc", Of(c, "ipc"));
  Add(both, "network", Of(b, "net"));
  EXPECT_EQ(Found(both), "c") << "one of the two is enough to reach their sandbox";
  Add(both, "pid", Of(a, "pid"));
  EXPECT_THAT(Found(both), HasSubstr("pid of a is in another virtual machine than c"));
}

TEST_F(Join, ByAFileThatIsTheNetworkOfASandbox) {
  const Sandbox one = NewSandbox();
  const Child a = Contain("a", one);
  oci::Bundle bundle;
  Add(bundle, "network", fmt::format("/proc/{}/fd/{}", getpid(), one.network.get()));
  EXPECT_EQ(Found(bundle), "a");
  const Sandbox strangers = NewSandbox();
  oci::Bundle other;
  Add(other, "network", fmt::format("/proc/{}/fd/{}", getpid(), strangers.network.get()));
  EXPECT_EQ(Found(other), "");
}

TEST_F(Join, TheHostsNetworkIsNoSandboxs) {
  const Sandbox one = NewSandbox(/*own_network=*/false);
  const Child a = Contain("a", one);
  oci::Bundle bundle;
  Add(bundle, "network", "/proc/self/ns/net");
  EXPECT_EQ(Found(bundle), "");
  oci::Bundle named;
  Add(named, "network", Of(a, "net"));
  EXPECT_EQ(Found(named), "a") << "unless it is asked for by name";
  oci::Bundle without;
  Add(without, "ipc", Of(a, "ipc"));
  EXPECT_EQ(Found(without), "a");
}

TEST_F(Join, TheNetworkHasToBeTheSame) {
  const Sandbox one = NewSandbox();
  const Child a = Contain("a", one);
  oci::Bundle own;
  Add(own, "pid", Of(a, "pid"));
  Add(own, "network", "");
  EXPECT_THAT(Found(own), HasSubstr("--network container:a"));
  oci::Bundle hosts;
  Add(hosts, "pid", Of(a, "pid"));
  EXPECT_THAT(Found(hosts), HasSubstr("have the host's network"));
}

TEST_F(Join, WhatIsOfNoContainerHere) {
  const Sandbox one = NewSandbox();
  const Child a = Contain("a", one);
  const Child stranger = Wait(0, -1);
  for (const std::string& path : {Of(stranger, "ipc"), Of(a, "uts"), std::string("/run/ipcns/x")}) {
    oci::Bundle bundle;
    Add(bundle, "ipc", path);
    const auto found = FindSandbox(root_, bundle);
    ASSERT_FALSE(found) << path;
    EXPECT_EQ(found.error().code(), Code::kUnimplemented);
    EXPECT_THAT(found.error().message(), HasSubstr("linux.namespaces[0].path: " + path));
  }
}

TEST_F(Join, ThoseThatDoNotRunAreNotJoined) {
  const Sandbox one = NewSandbox();
  const Child stopped = Contain("stopped", one, sandbox::Status::kStopped);
  const Child creating = Contain("creating", one, sandbox::Status::kCreating);
  for (const Child* standin : {&stopped, &creating}) {
    oci::Bundle bundle;
    Add(bundle, "ipc", Of(*standin, "ipc"));
    EXPECT_THAT(Found(bundle), HasSubstr("is not the ipc namespace of a container that runs"));
  }
  EXPECT_THAT(Found(OfPod("stopped")), HasSubstr("the pod's first container stopped does not run"));
}

TEST_F(Join, ByTheAnnotationsOfAPod) {
  const Sandbox one = NewSandbox();
  const Sandbox two = NewSandbox();
  const Child a = Contain("a", one);
  const Child b = Contain("b", two);
  oci::Bundle bundle = OfPod("a");
  Add(bundle, "network", Of(a, "net"));
  Add(bundle, "ipc", "/run/ipcns/kept-by-the-manager");
  EXPECT_EQ(Found(bundle), "a");
  Add(bundle, "uts", Of(b, "uts"));
  EXPECT_THAT(Found(bundle), HasSubstr("uts of b is in another virtual machine than a"));
  // The manager has a name for the pod, and no container of that name.
  oci::Bundle bare = OfPod("the-pod");
  EXPECT_EQ(Found(bare), "");
  Add(bare, "network", fmt::format("/proc/{}/fd/{}", getpid(), two.network.get()));
  EXPECT_EQ(Found(bare), "b");
}

TEST_F(Join, ASandboxOfContainerdsIsNotJoined) {
  const Sandbox one = NewSandbox();
  const Child a = Contain("a", one);
  auto directory = OpenDirectory(root_, "a");
  sandbox::State state = *sandbox::LoadState(directory->get());
  state.socket = "/run/containerd/s/x";
  ASSERT_TRUE(sandbox::StoreState(directory->get(), state));
  oci::Bundle bundle;
  Add(bundle, "network", Of(a, "net"));
  EXPECT_EQ(Found(bundle), "");
}

}  // namespace
}  // namespace kata::runtime
