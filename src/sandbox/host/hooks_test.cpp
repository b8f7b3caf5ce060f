// SPDX-License-Identifier: Apache-2.0
#include "sandbox/host/hooks.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/files.h"
#include "sandbox/network/namespace.h"

namespace kata::sandbox {
namespace {

using testing::HasSubstr;
using testing::Not;

// The hooks are real scripts that write what they see into a directory.
class Hooks : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_NE(mkdtemp(directory_.data()), nullptr);
    auto opened = Open(directory_, O_PATH | O_DIRECTORY);
    ASSERT_TRUE(opened);
    bundle_ = std::move(*opened);
    context_.state = R"({"id":"c1"})";
    context_.working_directory = bundle_.get();
  }
  void TearDown() override { ASSERT_TRUE(RemoveTree(directory_)); }

  void Add(const std::string& script, int64_t timeout = 0, const std::vector<std::string>& env = {}) {
    grpc::Hook* hook = hooks_.Add();
    hook->set_path("/bin/sh");
    for (const std::string& arg : {std::string("sh"), std::string("-c"), script, std::string("name"), directory_}) {
      hook->add_args(arg);
    }
    for (const std::string& variable : env) hook->add_env(variable);
    hook->set_timeout(timeout);
  }
  std::string Read(const std::string& name) {
    std::ifstream file(directory_ + "/" + name);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }

  std::string directory_ = "/tmp/kata-hooks-XXXXXX";
  UniqueFd bundle_;
  HookList hooks_;
  HookContext context_;
};

TEST_F(Hooks, GetStateEnvironmentAndDirectory) {
  Add("cat > $1/state; /usr/bin/env > $1/env; pwd > $1/pwd", 0, {"ONLY=this"});
  auto run = RunHooks("prestart", hooks_, context_);
  ASSERT_TRUE(run) << run.error().message();
  EXPECT_EQ(Read("state"), context_.state);
  EXPECT_THAT(Read("env"), HasSubstr("ONLY=this\n"));
  EXPECT_THAT(Read("env"), Not(HasSubstr("HOME=")));
  EXPECT_EQ(Read("pwd"), directory_ + "\n");
}

// As with runc: a hook for which the bundle names no environment gets the runtime's, or the container's.
TEST_F(Hooks, WithoutAnEnvironmentInheritOne) {
  ASSERT_EQ(setenv("KATA_HOOKS_TEST", "inherited", 1), 0);
  Add("/usr/bin/env > $1/env");
  hooks_[0].set_inheritsenv(true);
  ASSERT_TRUE(RunHooks("prestart", hooks_, context_));
  EXPECT_THAT(Read("env"), HasSubstr("KATA_HOOKS_TEST=inherited\n"));
  const std::vector<std::string> containers = {"OF=container"};
  context_.environment = &containers;
  ASSERT_TRUE(RunHooks("createContainer", hooks_, context_));
  EXPECT_THAT(Read("env"), HasSubstr("OF=container\n"));
  EXPECT_THAT(Read("env"), Not(HasSubstr("KATA_HOOKS_TEST")));
  hooks_[0].set_inheritsenv(false);
  ASSERT_TRUE(RunHooks("createContainer", hooks_, context_));
  EXPECT_THAT(Read("env"), Not(HasSubstr("OF=container"))) << "an empty one is one";
}

TEST_F(Hooks, RunInOrder) {
  Add("echo one >> $1/order");
  Add("echo two >> $1/order");
  ASSERT_TRUE(RunHooks("prestart", hooks_, context_));
  EXPECT_EQ(Read("order"), "one\ntwo\n");
}

TEST_F(Hooks, FailureEndsThemAndTellsWhy) {
  Add("true");
  Add("echo said; echo complained >&2; exit 4");
  Add("touch $1/third");
  auto run = RunHooks("createRuntime", hooks_, context_);
  ASSERT_FALSE(run);
  EXPECT_EQ(run.error().message(),
            "error running createRuntime hook #1: exit status 4, stdout: said\n, stderr: complained\n");
  EXPECT_NE(access((directory_ + "/third").c_str(), F_OK), 0);
}

TEST_F(Hooks, OneThatDoesNotExist) {
  hooks_.Add()->set_path("/nonexistent/hook");
  auto run = RunHooks("prestart", hooks_, context_);
  ASSERT_FALSE(run);
  EXPECT_THAT(run.error().message(), HasSubstr("prestart hook #0"));
  EXPECT_THAT(run.error().message(), HasSubstr("No such file or directory"));
}

TEST_F(Hooks, AreKilledAfterTheirTime) {
  Add("echo $$ > $1/pid; exec sleep 1000", 1);
  auto run = RunHooks("poststart", hooks_, context_);
  ASSERT_FALSE(run);
  EXPECT_THAT(run.error().message(), HasSubstr("hook ran past specified timeout of 1.0s"));
  EXPECT_NE(kill(std::stoi(Read("pid")), 0), 0);
}

TEST_F(Hooks, ThatIgnoreALargeStateOrWriteALotDoNotBlock) {
  context_.state = std::string(1U << 20U, 's');
  Add("head -c 1000000 /dev/zero; exit 1");
  auto run = RunHooks("prestart", hooks_, context_);
  ASSERT_FALSE(run);
  EXPECT_LT(run.error().message().size(), 10000U);
}

TEST_F(Hooks, JoinTheContainersNetworkNamespace) {
  auto network = network::Namespace::New();
  ASSERT_TRUE(network) << network.error().message();
  struct stat theirs {
  }, ours{};
  ASSERT_EQ(fstat(network->fd(), &theirs), 0);
  ASSERT_EQ(stat("/proc/self/ns/net", &ours), 0);
  EXPECT_NE(theirs.st_ino, ours.st_ino);
  context_.network_namespace = network->fd();
  Add("readlink /proc/self/ns/net > $1/net");
  ASSERT_TRUE(RunHooks("createContainer", hooks_, context_));
  EXPECT_EQ(Read("net"), fmt::format("net:[{}]\n", theirs.st_ino));
}

TEST_F(Hooks, ASignalEndsOneThatRuns) {
  auto interrupts = Interrupts::Ending();
  ASSERT_TRUE(interrupts);
  context_.interrupts = &*interrupts;
  Add("kill -TERM $PPID; exec sleep 1000");
  auto run = RunHooks("prestart", hooks_, context_);
  ASSERT_FALSE(run);
  EXPECT_EQ(run.error().code(), Code::kCancelled);
  EXPECT_THAT(run.error().message(), HasSubstr("interrupted by signal 15"));
}

TEST_F(Hooks, PoststopFailuresDoNotEndThem) {
  Add("exit 1");
  Add("touch $1/second");
  RunHooksLenient("poststop", hooks_, context_);
  EXPECT_EQ(access((directory_ + "/second").c_str(), F_OK), 0);
}

TEST(HookState, IsTheRuntimeSpecsState) {
  State state;
  state.id = "c1";
  state.oci_version = "1.0.2";
  state.standin.pid = 42;
  state.bundle = "/b";
  state.annotations = {{"a", "b"}};
  EXPECT_EQ(HookState(state, Status::kCreating),
            R"({"ociVersion":"1.0.2","id":"c1","status":"creating","pid":42,"bundle":"/b","annotations":{"a":"b"}})");
  state.annotations.clear();
  EXPECT_EQ(HookState(state, Status::kStopped), R"({"ociVersion":"1.0.2","id":"c1","status":"stopped","bundle":"/b"})");
}

}  // namespace
}  // namespace kata::sandbox
