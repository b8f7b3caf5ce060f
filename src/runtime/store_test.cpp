// SPDX-License-Identifier: Apache-2.0
#include "runtime/store.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/child.h"
#include "base/files.h"
#include "rpc/unix_socket.h"
#include "runtime/destroy.h"
#include "sandbox/record/directory.h"
#include "sandbox/task/task_client.h"

namespace kata::runtime {
namespace {

using testing::HasSubstr;

class Store : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_NE(mkdtemp(directory_.data()), nullptr);
    root_ = directory_ + "/state/root";
  }
  void TearDown() override { ASSERT_TRUE(RemoveTree(directory_)); }

  // A container as `create` leaves it, but without processes.
  void Make(const std::string& id, sandbox::State state) {
    auto directory = ClaimDirectory(root_, id);
    ASSERT_TRUE(directory) << directory.error().message();
    state.id = id;
    state.created = sandbox::FormatNow();
    ASSERT_TRUE(sandbox::StoreState(directory->get(), state));
  }

  std::string directory_ = "/tmp/kata-store-XXXXXX";
  std::string root_;
};

TEST_F(Store, AnIdIsClaimedOnce) {
  ASSERT_TRUE(ClaimDirectory(root_, "c1"));
  struct stat info {};
  ASSERT_EQ(stat((root_ + "/c1").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777U, 0700U);
  auto again = ClaimDirectory(root_, "c1");
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code(), Code::kAlreadyExists);
  EXPECT_EQ(again.error().message(), "container with given ID already exists");
}

TEST_F(Store, WrongIds) {
  for (const char* id : {"", ".", "..", "a/b", "../x", "a b", "a\n"}) {
    auto claimed = ClaimDirectory(root_, id);
    ASSERT_FALSE(claimed) << id;
    EXPECT_THAT(claimed.error().message(), HasSubstr("invalid container ID format"));
    EXPECT_FALSE(FindContainer(root_, id)) << id;
  }
  EXPECT_FALSE(std::filesystem::exists(directory_ + "/state/x"));
}

TEST_F(Store, WhatIsNotThereDoesNotExist) {
  for (int i = 0; i < 2; ++i) {
    auto found = FindContainer(root_, "c1");
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().code(), Code::kNotFound);
    EXPECT_EQ(found.error().message(), "container does not exist");
    std::filesystem::create_directories(root_);
  }
}

TEST_F(Store, ADirectoryWithoutAStateIsBeingCreated) {
  ASSERT_TRUE(ClaimDirectory(root_, "c1"));
  auto found = FindContainer(root_, "c1");
  ASSERT_TRUE(found) << found.error().message();
  EXPECT_EQ(found->state.status, sandbox::Status::kCreating);
}

TEST_F(Store, ADamagedStateSaysWhatHelps) {
  auto directory = ClaimDirectory(root_, "c1");
  ASSERT_TRUE(directory);
  ASSERT_TRUE(WriteFileAtomic(directory->get(), sandbox::kStateFile, R"({"id": "c1", "pid)", 0600));
  auto found = FindContainer(root_, "c1");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().message(),
            "cannot read the state of c1: state.json is not a whole record: it is cut off or damaged; "
            "kata-runtime --root " +
                root_ + " delete --force c1 removes it");
}

TEST_F(Store, ListIsSortedAndSkipsWhatIsNone) {
  EXPECT_TRUE(ListContainers(root_)->empty());
  Make("b", {});
  Make("a", {});
  std::ofstream(root_ + "/file") << "x";
  ASSERT_TRUE(ClaimDirectory(root_, "broken"));
  std::ofstream(root_ + "/broken/state.json") << "{";
  auto records = ListContainers(root_);
  ASSERT_TRUE(records);
  ASSERT_EQ(records->size(), 2U);
  EXPECT_EQ((*records)[0].id, "a");
  EXPECT_EQ((*records)[1].id, "b");
}

TEST_F(Store, DestroyEndsWhatIsLeftOfTheSandbox) {
  Command command;
  command.argv = {"sleep", "1000"};
  auto sandbox_process = Spawn(command);
  auto helper = Spawn(command);
  auto standin = Spawn(command);
  ASSERT_TRUE(sandbox_process && helper && standin);
  sandbox::State state;
  state.status = sandbox::Status::kRunning;
  state.sandbox = *IdentifyProcess(sandbox_process->pid());
  state.helpers = {*IdentifyProcess(helper->pid())};
  state.standin = *IdentifyProcess(standin->pid());
  Make("c1", state);
  auto gone = Destroy(root_, *FindContainer(root_, "c1"));
  ASSERT_TRUE(gone) << gone.error().message();
  for (Child* child : {&*sandbox_process, &*helper, &*standin}) {
    auto end = child->Wait();
    ASSERT_TRUE(end);
    EXPECT_EQ(end->signal, SIGKILL);
  }
  EXPECT_FALSE(std::filesystem::exists(root_ + "/c1"));
}

TEST_F(Store, DestroyKillsNoStrangerWithTheSamePid) {
  Command command;
  command.argv = {"sleep", "1000"};
  auto stranger = Spawn(command);
  ASSERT_TRUE(stranger);
  sandbox::State state;
  state.status = sandbox::Status::kRunning;
  state.sandbox = *IdentifyProcess(stranger->pid());
  state.sandbox.start_time += 1;
  state.standin = state.sandbox;
  Make("c1", state);
  ASSERT_TRUE(Destroy(root_, *FindContainer(root_, "c1")));
  EXPECT_TRUE(IdentifyProcess(stranger->pid()));
}

TEST_F(Store, DestroyWithoutAUsableRecordSparesAStrangerAtTheSocket) {
  for (const char* text : {"", "garbage"}) {
    auto directory = ClaimDirectory(root_, "c1");
    ASSERT_TRUE(directory);
    if (*text != '\0') std::ofstream(root_ + "/c1/state.json") << text;
    // This process listens on the socket, but is no sandbox process.
    auto listener = rpc::ListenUnix(directory->get(), sandbox::kTaskSocket);
    ASSERT_TRUE(listener) << listener.error().message();
    auto gone = Destroy(root_, *FindDirectory(root_, "c1"));
    EXPECT_TRUE(gone) << gone.error().message();
    EXPECT_FALSE(std::filesystem::exists(root_ + "/c1"));
  }
}

TEST_F(Store, OfTwoDeletesOneWins) {
  Make("c1", {});
  auto first = FindContainer(root_, "c1");
  auto second = FindContainer(root_, "c1");
  ASSERT_TRUE(first && second);
  ASSERT_TRUE(Destroy(root_, std::move(*first)));
  auto gone = Destroy(root_, std::move(*second));
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().message(), "container does not exist");
}

TEST_F(Store, ADeleteThatCameLateSparesTheNextContainerOfThatName) {
  Make("c1", {});
  auto late = FindContainer(root_, "c1");
  ASSERT_TRUE(late);
  ASSERT_TRUE(Destroy(root_, *FindContainer(root_, "c1")));
  Make("c1", {});
  EXPECT_FALSE(Destroy(root_, std::move(*late)));
  EXPECT_TRUE(FindContainer(root_, "c1"));
}

TEST_F(Store, DestroyNeverRemovesThroughAMount) {
  const std::string precious = directory_ + "/precious";
  std::filesystem::create_directories(precious);
  std::ofstream(precious + "/file") << "x";
  Make("c1", {});
  const std::string target = root_ + "/c1/shared";
  std::filesystem::create_directories(target);
  ASSERT_EQ(mount(precious.c_str(), target.c_str(), nullptr, MS_BIND, nullptr), 0);
  auto gone = Destroy(root_, *FindContainer(root_, "c1"));
  ASSERT_EQ(umount2(target.c_str(), MNT_DETACH), 0);
  EXPECT_FALSE(gone);
  EXPECT_TRUE(std::filesystem::exists(precious + "/file"));
  // Once the mount is gone, the rest can be removed.
  EXPECT_TRUE(Destroy(root_, *FindContainer(root_, "c1")));
  EXPECT_TRUE(std::filesystem::exists(precious + "/file"));
}

TEST_F(Store, DestroyRunsThePoststopHooks) {
  Make("c1", {});
  const std::string mark = directory_ + "/mark";
  std::ofstream(root_ + "/c1/config.json")
      << R"({"ociVersion":"1.0.2","process":{"args":["x"],"cwd":"/","user":{"uid":0,"gid":0}},"root":{"path":"r"},)"
      << R"("hooks":{"poststop":[{"path":"/bin/sh","args":["sh","-c","cat > )" << mark << R"("]}]}})";
  ASSERT_TRUE(Destroy(root_, *FindContainer(root_, "c1")));
  std::ifstream file(mark);
  std::string text;
  std::getline(file, text);
  EXPECT_THAT(text, HasSubstr(R"("status":"stopped")"));
}

}  // namespace
}  // namespace kata::runtime
