// SPDX-License-Identifier: Apache-2.0
#include "shim/bootstrap.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "protocol/bootstrap.pb.h"
#include "protocol/runtime_options.pb.h"
#include "protocol/wkt.pb.h"

namespace kata::shim {
namespace {

class BootstrapTest : public ::testing::Test {
 protected:
  BootstrapTest() {
    arguments_.id = "p1";
    arguments_.namespace_name = "k8s.io";
    unsetenv("MAX_SHIM_VERSION");
    setenv("TTRPC_ADDRESS", "/old.ttrpc", 1);
  }
  Arguments arguments_;
};

TEST_F(BootstrapTest, TheFirstContainerdsGetABareAddress) {
  const Bootstrap bootstrap = ReadBootstrap(arguments_, "");
  EXPECT_EQ(bootstrap.ttrpc_address, "/old.ttrpc");
  EXPECT_EQ(StartAnswer(bootstrap, "/run/containerd/s/x"), "unix:///run/containerd/s/x");
}

TEST_F(BootstrapTest, AVersionMakesItJson) {
  setenv("MAX_SHIM_VERSION", "2", 1);
  auto answer = nlohmann::json::parse(StartAnswer(ReadBootstrap(arguments_, ""), "/s/x"));
  EXPECT_EQ(answer, (nlohmann::json{{"version", 2}, {"address", "unix:///s/x"}, {"protocol", "ttrpc"}}));
  setenv("MAX_SHIM_VERSION", "99", 1);
  EXPECT_EQ(ReadBootstrap(arguments_, "").version, 3);
}

TEST_F(BootstrapTest, TheRuntimesOptionsNameAConfigurationFile) {
  runtimeoptions::v1::Options options;
  options.set_config_path("/etc/kata.toml");
  wkt::Any any;
  any.set_type_url("runtimeoptions.v1.Options");
  any.set_value(options.SerializeAsString());
  EXPECT_EQ(ReadBootstrap(arguments_, any.SerializeAsString()).options.config_path, "/etc/kata.toml");
  containerd::runtime::bootstrap::v1::BootstrapParams params;
  params.set_instance_id("p1");
  params.set_namespace_("k8s.io");
  *params.add_extensions()->mutable_value() = any;
  EXPECT_EQ(ReadBootstrap(arguments_, params.SerializeAsString()).options.config_path, "/etc/kata.toml");
  any.set_type_url("containerd.runc.v1.Options");
  EXPECT_EQ(ReadBootstrap(arguments_, any.SerializeAsString()).options.config_path, "");
}

TEST_F(BootstrapTest, NothingIsSaidOfOptionsThatAreNoText) {
  // As containerd's options of runc with a user namespace: its first user, as a number.
  wkt::Any any;
  any.set_type_url("containerd.runc.v1.Options");
  any.set_value("\x28\xe0\xa7\x12");
  ::testing::internal::CaptureStderr();
  const Bootstrap bootstrap = ReadBootstrap(arguments_, any.SerializeAsString());
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "") << "containerd takes it for a part of the answer";
  EXPECT_FALSE(bootstrap.structured);
}

TEST_F(BootstrapTest, ParametersGoFirst) {
  containerd::runtime::bootstrap::v1::BootstrapParams params;
  params.set_instance_id("p1");
  params.set_namespace_("k8s.io");
  params.set_containerd_ttrpc_address("/new.ttrpc");
  params.set_socket_dir("/run/s");
  Bootstrap bootstrap = ReadBootstrap(arguments_, params.SerializeAsString());
  EXPECT_TRUE(bootstrap.structured);
  EXPECT_EQ(bootstrap.version, 3);
  EXPECT_EQ(bootstrap.ttrpc_address, "/new.ttrpc");
  EXPECT_EQ(bootstrap.socket_directory, "/run/s");
  params.set_socket_dir(std::string(60, '/'));
  EXPECT_EQ(ReadBootstrap(arguments_, params.SerializeAsString()).socket_directory, "/run/containerd/s");
}

TEST_F(BootstrapTest, WhatIsMeantForAnotherIsNotTaken) {
  containerd::runtime::bootstrap::v1::BootstrapParams params;
  params.set_instance_id("p2");
  params.set_namespace_("k8s.io");
  params.set_containerd_ttrpc_address("/new.ttrpc");
  // The runtime's options, which older versions of containerd write, also parse as BootstrapParams.
  wkt::Any options;
  options.set_type_url("runtimeoptions.v1.Options");
  options.set_value("x");
  for (const std::string& input : {params.SerializeAsString(), options.SerializeAsString(), std::string("\xff\xff")}) {
    const Bootstrap bootstrap = ReadBootstrap(arguments_, input);
    EXPECT_FALSE(bootstrap.structured);
    EXPECT_EQ(bootstrap.ttrpc_address, "/old.ttrpc");
  }
}

}  // namespace
}  // namespace kata::shim
