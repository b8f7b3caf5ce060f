// SPDX-License-Identifier: Apache-2.0
#include "oci/pod.h"

#include <gtest/gtest.h>

namespace kata::oci {
namespace {

TEST(PodRole, NoManagerMeansASingleContainer) {
  auto role = PodRoleOf({{"io.kubernetes.cri.sandbox-id", "p1"}});
  ASSERT_TRUE(role);
  EXPECT_EQ(role->type, ContainerType::kSingle);
  EXPECT_EQ(role->sandbox, "");
}

TEST(PodRole, EachManagerHasItsOwnWords) {
  struct {
    const char* type;
    const char* sandbox;
    const char* id;
  } const managers[] = {{"io.kubernetes.cri.container-type", "sandbox", "io.kubernetes.cri.sandbox-id"},
                        {"io.kubernetes.cri-o.ContainerType", "sandbox", "io.kubernetes.cri-o.SandboxID"},
                        {"io.kubernetes.docker.type", "podsandbox", "io.kubernetes.sandbox.id"}};
  for (const auto& manager : managers) {
    auto sandbox = PodRoleOf({{manager.type, manager.sandbox}, {manager.id, "p1"}});
    ASSERT_TRUE(sandbox) << manager.type;
    EXPECT_EQ(sandbox->type, ContainerType::kSandbox);
    auto container = PodRoleOf({{manager.type, "container"}, {manager.id, "p1"}});
    ASSERT_TRUE(container) << manager.type;
    EXPECT_EQ(container->type, ContainerType::kContainer);
    EXPECT_EQ(container->sandbox, "p1");
  }
}

TEST(Namespaces, APathOfAProcessHasItsPid) {
  const auto pid = [](const char* type, const char* path) {
    grpc::LinuxNamespace space;
    space.set_type(type);
    space.set_path(path);
    return PidInPath(space);
  };
  EXPECT_EQ(pid("network", "/proc/12/ns/net"), 12);
  EXPECT_EQ(pid("ipc", "/proc/3456789/ns/ipc"), 3456789);
  for (const char* path : {"", "/proc/12/ns/ipc", "/proc/self/ns/net", "/proc/ns/net", "/proc//ns/net",
                           "/proc/0/ns/net", "/proc/-1/ns/net", "/proc/12x/ns/net", "/proc/1/task/2/ns/net",
                           "/x/proc/12/ns/net", "/proc/99999999999/ns/net", "/run/netns/net"}) {
    EXPECT_EQ(pid("network", path), 0) << path;
  }
}

TEST(PodNamespaces, TheHostsAreRefused) {
  grpc::Spec spec;
  for (const char* type : {"mount", "ipc", "pid"}) spec.mutable_linux()->add_namespaces()->set_type(type);
  EXPECT_TRUE(RefuseHostNamespaces(spec));
  spec.mutable_linux()->mutable_namespaces()->RemoveLast();
  auto refused = RefuseHostNamespaces(spec);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Code::kInvalidArgument);
  EXPECT_NE(refused.error().message().find("hostPID"), std::string::npos);
  spec.mutable_linux()->mutable_namespaces(1)->set_type("pid");
  EXPECT_NE(RefuseHostNamespaces(spec).error().message().find("hostIPC"), std::string::npos);
}

TEST(PodRole, WhatMakesNoSenseIsAnError) {
  for (const std::map<std::string, std::string>& annotations :
       {std::map<std::string, std::string>{{"io.kubernetes.cri.container-type", "pod"}},
        std::map<std::string, std::string>{{"io.kubernetes.cri.container-type", "container"}},
        std::map<std::string, std::string>{{"io.kubernetes.cri.container-type", "container"},
                                           {"io.kubernetes.cri.sandbox-id", "../p1"}}}) {
    auto role = PodRoleOf(annotations);
    ASSERT_FALSE(role);
    EXPECT_EQ(role.error().code(), Code::kInvalidArgument);
    EXPECT_TRUE(role.error().message().starts_with("annotations[")) << role.error().message();
  }
}

TEST(PodResources, ComeFromTheSandboxsAnnotations) {
  auto none = PodResources({});
  ASSERT_TRUE(none);
  EXPECT_FALSE(none->has_cpu());
  EXPECT_FALSE(none->has_memory());
  auto some = PodResources({{"io.kubernetes.cri.sandbox-cpu-quota", "150000"},
                            {"io.kubernetes.cri.sandbox-cpu-period", "100000"},
                            {"io.kubernetes.cri.sandbox-memory", "268435456"}});
  ASSERT_TRUE(some);
  EXPECT_EQ(some->cpu().quota(), 150000);
  EXPECT_EQ(some->cpu().period(), 100000U);
  EXPECT_EQ(some->memory().limit(), 268435456);
  EXPECT_FALSE(PodResources({{"io.kubernetes.cri.sandbox-memory", "1G"}}));
}

}  // namespace
}  // namespace kata::oci
