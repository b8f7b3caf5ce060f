// SPDX-License-Identifier: Apache-2.0
#include "shim/arguments.h"

#include <gtest/gtest.h>

#include "shim/socket_address.h"

namespace kata::shim {
namespace {

TEST(Arguments, AreReadAsGoReadsThem) {
  auto start = ParseArguments(
      {"-namespace", "k8s.io", "--address=/c.sock", "-publish-binary", "", "-id", "p1", "-debug", "start"});
  ASSERT_TRUE(start) << start.error().message();
  EXPECT_EQ(start->action, Action::kStart);
  EXPECT_EQ(start->namespace_name, "k8s.io");
  EXPECT_EQ(start->address, "/c.sock");
  EXPECT_EQ(start->id, "p1");
  EXPECT_TRUE(start->debug);
  auto remove = ParseArguments({"-namespace=n", "-id=x", "-bundle", "/b", "-debug=false", "delete"});
  ASSERT_TRUE(remove) << remove.error().message();
  EXPECT_EQ(remove->action, Action::kDelete);
  EXPECT_EQ(remove->id, "x");
  EXPECT_FALSE(remove->debug);
  EXPECT_EQ(ParseArguments({"-v"})->action, Action::kVersion);
  EXPECT_EQ(ParseArguments({"-info"})->action, Action::kInfo);
  EXPECT_EQ(ParseArguments({"-namespace", "n", "-id", "x", "-config", "/c.toml"})->config, "/c.toml");
  EXPECT_EQ(ParseArguments({"-namespace", "n", "-id", "x", "-systemd-cgroup=true"})->systemd_cgroup, "true");
  EXPECT_EQ(ParseArguments({"-namespace", "n", "-id", "x"})->action, Action::kServe);
}

TEST(Arguments, MistakesAreNamed) {
  struct {
    std::vector<std::string> words;
    const char* message;
  } const cases[] = {{{}, "-id is missing"},
                     {{"-id", "x"}, "-namespace is missing"},
                     {{"-id"}, "-id needs a value"},
                     {{"-what", "x"}, "unknown flag -what"},
                     {{"-namespace", "n", "-id", "x", "stop"}, "unknown action \"stop\""},
                     {{"-namespace", "n", "-id", "x", "start", "more"}, "too many arguments"}};
  for (const auto& each : cases) {
    auto parsed = ParseArguments(each.words);
    ASSERT_FALSE(parsed) << each.message;
    EXPECT_NE(parsed.error().message().find(each.message), std::string::npos) << parsed.error().message();
  }
}

TEST(SocketPath, IsContainerdsFormula) {
  const std::string expected = "/run/containerd/s/a99a1752d3a0fadfb1f869026f16760475df03a572e20f4ccea9e6c1e5470b72";
  EXPECT_EQ(SocketPath("/run/containerd/s", "/run/containerd/containerd.sock", "k8s.io", "abc"), expected);
  EXPECT_EQ(SocketPath("/run/containerd/s", "/run/containerd//containerd.sock", "k8s.io", "abc"), expected);
  EXPECT_NE(SocketPath("/run/containerd/s", "/run/containerd/containerd.sock", "default", "abc"), expected);
}

}  // namespace
}  // namespace kata::shim
