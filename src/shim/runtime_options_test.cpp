// SPDX-License-Identifier: Apache-2.0
#include "shim/runtime_options.h"

#include <gtest/gtest.h>

#include "protocol/runc_options.pb.h"
#include "protocol/runtime_options.pb.h"

namespace kata::shim {
namespace {

wkt::Any Pack(const char* type, const google::protobuf::MessageLite& message) {
  wkt::Any any;
  any.set_type_url(type);
  any.set_value(message.SerializeAsString());
  return any;
}

RuntimeOptions General(const std::string& path, const std::string& body) {
  runtimeoptions::v1::Options options;
  options.set_type_url("io.containerd.kata.v2.options");
  options.set_config_path(path);
  options.set_config_body(body);
  return ReadRuntimeOptions(Pack("runtimeoptions.v1.Options", options));
}

TEST(RuntimeOptions, AreInTheTableOfContainerdsConfiguration) {
  EXPECT_EQ(General("/c.toml", "").config_path, "/c.toml");
  EXPECT_EQ(General("", "SystemdCgroup = true\n").systemd_cgroup, true);
  EXPECT_EQ(General("", "BinaryName = \"x\"\nSystemdCgroup = false\n[a]\nb = 1\n").systemd_cgroup, false);
}

TEST(RuntimeOptions, OfAnotherKindSayNothing) {
  for (const char* body : {"", "a = 1", "[a]\nSystemdCgroup = true", "SystemdCgroup = 1", "SystemdCgroup = \"true\"",
                           "SystemdCgroup", "SystemdCgroup = true\n=", "\xff"}) {
    EXPECT_EQ(General("", body).systemd_cgroup, std::nullopt) << body;
  }
  EXPECT_EQ(General("", std::string(100000, '[')).systemd_cgroup, std::nullopt);
}

TEST(RuntimeOptions, OfRuncsShimAskForSystemdToo) {
  containerd::runc::v1::Options options;
  constexpr char kType[] = "containerd.runc.v1.Options";
  EXPECT_EQ(ReadRuntimeOptions(Pack(kType, options)).systemd_cgroup, std::nullopt);
  options.set_systemd_cgroup(true);
  EXPECT_EQ(ReadRuntimeOptions(Pack(kType, options)).systemd_cgroup, true);
  EXPECT_EQ(ReadRuntimeOptions(Pack("another.Options", options)).systemd_cgroup, std::nullopt);
}

TEST(RuntimeOptions, WhatIsSaidLaterCounts) {
  const RuntimeOptions before{.config_path = "/a", .systemd_cgroup = true};
  EXPECT_EQ(Merge(before, {}).config_path, "/a");
  EXPECT_EQ(Merge(before, {}).systemd_cgroup, true);
  EXPECT_EQ(Merge(before, {.config_path = "/b", .systemd_cgroup = false}).config_path, "/b");
  EXPECT_EQ(Merge(before, {.config_path = "", .systemd_cgroup = false}).systemd_cgroup, false);
}

}  // namespace
}  // namespace kata::shim
