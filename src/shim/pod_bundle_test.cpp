// SPDX-License-Identifier: Apache-2.0
#include "shim/pod_bundle.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/files.h"
#include "oci/pod.h"
#include "protocol/pod_config.pb.h"
#include "sandbox/testing/run.h"

namespace kata::shim {
namespace {

using sandbox::testing::TempDir;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
namespace cri = ::runtime::v1;

containerd::runtime::sandbox::v1::CreateSandboxRequest RequestFor(const TempDir& bundle,
                                                                  const cri::PodSandboxConfig& config) {
  containerd::runtime::sandbox::v1::CreateSandboxRequest request;
  request.set_sandbox_id("p1");
  request.set_bundle_path(bundle.path());
  request.set_netns_path("/run/netns/p1");
  request.mutable_options()->set_type_url("type.googleapis.com/runtime.v1.PodSandboxConfig");
  request.mutable_options()->set_value(config.SerializeAsString());
  return request;
}

std::vector<std::string> Namespaces(const grpc::Spec& spec) {
  std::vector<std::string> found;
  for (const auto& space : spec.linux().namespaces()) found.push_back(space.type() + ":" + space.path());
  return found;
}

TEST(PodBundle, IsWhatTheConfigurationOfThePodSays) {
  TempDir directory;
  cri::PodSandboxConfig config;
  config.set_hostname("web");
  config.mutable_metadata()->set_name("web-1");
  config.mutable_dns_config()->add_servers("10.0.0.10");
  config.mutable_dns_config()->add_servers("10.0.0.11");
  config.mutable_dns_config()->add_searches("a.local");
  config.mutable_dns_config()->add_searches("local");
  config.mutable_dns_config()->add_options("ndots:5");
  config.mutable_linux()->set_cgroup_parent("/kubepods/pod1");
  (*config.mutable_linux()->mutable_sysctls())["net.ipv4.ip_unprivileged_port_start"] = "0";
  config.mutable_linux()->mutable_resources()->set_memory_limit_in_bytes(1 << 30);
  (*config.mutable_annotations())["io.katacontainers.config.hypervisor.default_vcpus"] = "2";
  (*config.mutable_annotations())["other"] = "x";
  const auto request = RequestFor(directory, config);
  EXPECT_FALSE(HasSpec(request));
  const mode_t before = umask(0077);
  const auto bundle = MakePodBundle(request);
  umask(before);
  ASSERT_TRUE(bundle) << bundle.error().message();
  struct stat status {};
  ASSERT_EQ(stat((directory.path() + "/resolv.conf").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777U, 0644U);
  EXPECT_EQ(bundle->spec.hostname(), "web");
  EXPECT_EQ(bundle->spec.linux().cgroupspath(), "/kubepods/pod1/p1");
  EXPECT_EQ(bundle->spec.linux().sysctl().at("net.ipv4.ip_unprivileged_port_start"), "0");
  EXPECT_THAT(Namespaces(bundle->spec), ElementsAre("pid:", "ipc:", "network:/run/netns/p1", "mount:", "uts:"));
  EXPECT_EQ(bundle->annotations.at("io.katacontainers.config.hypervisor.default_vcpus"), "2");
  EXPECT_FALSE(bundle->annotations.contains("other"));
  EXPECT_EQ(oci::PodRoleOf(bundle->annotations)->type, oci::ContainerType::kSandbox);
  EXPECT_EQ(oci::PodResources(bundle->annotations)->memory().limit(), 1 << 30);
  EXPECT_EQ(*ReadFile(directory.path() + "/hostname"), "web\n");
  EXPECT_EQ(*ReadFile(directory.path() + "/resolv.conf"),
            "search a.local local\nnameserver 10.0.0.10\nnameserver 10.0.0.11\noptions ndots:5\n");
  EXPECT_EQ(*ReadFile(directory.path() + "/hosts"), *ReadFile("/etc/hosts"));
}

TEST(PodBundle, OfAnUnknownKindOfOptionsIsAnEmptyPod) {
  TempDir directory;
  auto request = RequestFor(directory, {});
  request.mutable_options()->set_type_url("something.else");
  request.mutable_options()->set_value("\xff\xff");
  const auto bundle = MakePodBundle(request);
  ASSERT_TRUE(bundle) << bundle.error().message();
  EXPECT_NE(bundle->spec.hostname(), "");
  EXPECT_EQ(*ReadFile(directory.path() + "/resolv.conf"), *ReadFile("/etc/resolv.conf"));
  request.mutable_options()->set_type_url("runtime.v1.PodSandboxConfig");
  EXPECT_THAT(MakePodBundle(request).error().message(), HasSubstr("not a valid runtime.v1.PodSandboxConfig"));
}

TEST(PodBundle, OfASystemdParentHasItsUnit) {
  TempDir directory;
  cri::PodSandboxConfig config;
  config.mutable_linux()->set_cgroup_parent("/kubepods.slice/kubepods-pod1.slice");
  EXPECT_EQ(MakePodBundle(RequestFor(directory, config))->spec.linux().cgroupspath(),
            "kubepods-pod1.slice:cri-containerd:p1");
}

TEST(PodBundle, LeavesTheHostsNamespacesOut) {
  TempDir directory;
  cri::PodSandboxConfig config;
  config.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_pid(cri::NODE);
  const auto bundle = MakePodBundle(RequestFor(directory, config));
  ASSERT_TRUE(bundle);
  EXPECT_THAT(oci::RefuseHostNamespaces(bundle->spec).error().message(), HasSubstr("hostPID"));
}

TEST(PodBundle, GivesEachContainerWhatItHasNotItself) {
  TempDir directory;
  cri::PodSandboxConfig config;
  (*config.mutable_linux()->mutable_sysctls())["net.core.somaxconn"] = "7";
  (*config.mutable_linux()->mutable_sysctls())["kernel.msgmax"] = "8";
  const auto bundle = MakePodBundle(RequestFor(directory, config));
  ASSERT_TRUE(bundle);
  grpc::Spec container;
  container.mutable_root()->set_readonly(true);
  grpc::Mount& hosts = *container.add_mounts();
  hosts.set_destination("/etc/hosts");
  hosts.set_source("/of/the/kubelet");
  (*container.mutable_linux()->mutable_sysctl())["kernel.msgmax"] = "9";
  oci::AddPodDefaults(bundle->spec, container);
  ASSERT_EQ(container.mounts_size(), 3);
  EXPECT_EQ(container.mounts(0).source(), "/of/the/kubelet");
  EXPECT_EQ(container.mounts(2).destination(), "/etc/resolv.conf");
  EXPECT_THAT(container.mounts(2).options(), ElementsAre("rbind", "rprivate", "ro"));
  EXPECT_EQ(container.linux().sysctl().at("net.core.somaxconn"), "7");
  EXPECT_EQ(container.linux().sysctl().at("kernel.msgmax"), "9");
}

}  // namespace
}  // namespace kata::shim
