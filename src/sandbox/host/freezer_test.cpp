// SPDX-License-Identifier: Apache-2.0
// Uses this host's real cgroups of each mounted version.
#include "sandbox/host/freezer.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/child.h"
#include "base/files.h"
#include "sandbox/host/cgroup.h"

namespace kata::sandbox {
namespace {

// A cgroup that can be frozen, its parent, and what to write to freeze and thaw each.
struct Place {
  std::string above;
  std::string leaf;
  std::string file;
  std::string freeze;
  std::string thaw;
};

class Freezer : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto plan = PlanHostCgroups(fmt::format("/kata-{}-freezer/leaf", getpid()));
    ASSERT_TRUE(plan);
    made_ = plan->missing;
    const auto leaves = MakeCgroups(*plan, ParseHierarchies(*ReadFile("/proc/self/mountinfo")));
    ASSERT_TRUE(leaves) << leaves.error().message();
    leaves_ = *leaves;
    for (const std::string& leaf : leaves_) {
      const std::string above = leaf.substr(0, leaf.rfind('/'));
      if (access((leaf + "/freezer.state").c_str(), F_OK) == 0) {
        places_.push_back({above, leaf, "/freezer.state", "FROZEN", "THAWED"});
      } else if (access((leaf + "/cgroup.freeze").c_str(), F_OK) == 0) {
        places_.push_back({above, leaf, "/cgroup.freeze", "1", "0"});
      }
    }
    ASSERT_FALSE(places_.empty()) << "this host has no freezer";
  }

  void TearDown() override {
    for (const Place& place : places_) {
      for (const std::string& cgroup : {place.above, place.leaf}) {
        EXPECT_TRUE(WriteFile(cgroup + place.file, place.thaw));
      }
    }
    RemoveCgroups(made_);
    for (const std::string& directory : made_) EXPECT_NE(access(directory.c_str(), F_OK), 0) << directory;
  }

  // Starts a process in the leaves.
  Child Inside(const std::string& program = "sleep") {
    Command command;
    command.argv = {program, "1000"};
    auto child = Spawn(command);
    EXPECT_TRUE(child);
    EXPECT_TRUE(EnterCgroups(leaves_, child->pid()));
    return *std::move(child);
  }

  void ExpectEnds(Child child) {
    EXPECT_TRUE(EndProcess(*IdentifyProcess(child.pid()), std::chrono::milliseconds(0)));
    EXPECT_TRUE(child.Wait());
  }

  std::vector<std::string> made_;
  std::vector<std::string> leaves_;
  std::vector<Place> places_;
};

TEST_F(Freezer, IsSeenFromBelow) {
  for (const Place& place : places_) {
    EXPECT_EQ(FrozenAt(place.leaf), "");
    EXPECT_EQ(FrozenAt(place.leaf + "/not/made"), "");
    ASSERT_TRUE(WriteFile(place.above + place.file, place.freeze));
    EXPECT_EQ(FrozenAt(place.above), place.above);
    EXPECT_EQ(FrozenAt(place.leaf), place.above);
    EXPECT_EQ(FrozenAt(place.leaf + "/not/made"), place.above);
    Thaw({place.leaf});
    EXPECT_EQ(FrozenAt(place.leaf), place.above) << "what is above is another's";
    Thaw({place.above});
    EXPECT_EQ(FrozenAt(place.leaf), "");
  }
  EXPECT_EQ(FrozenAt("/no/such/directory"), "");
  EXPECT_EQ(FrozenAt(""), "");
}

TEST_F(Freezer, IsSeenAroundAProcess) {
  for (const Place& place : places_) {
    Child child = Inside();
    EXPECT_EQ(FrozenAround(child.pid()), "");
    ASSERT_TRUE(WriteFile(place.leaf + place.file, place.freeze));
    EXPECT_EQ(FrozenAround(child.pid()), place.leaf);
    Thaw({place.leaf});
    ExpectEnds(std::move(child));
  }
  EXPECT_EQ(FrozenAround(0), "");
}

TEST_F(Freezer, AFrozenSandboxIsLetRun) {
  for (const Place& place : places_) {
    Child child = Inside();
    const State state{.sandbox = *IdentifyProcess(child.pid()), .cgroup_paths = made_};
    ASSERT_TRUE(WriteFile(place.leaf + place.file, place.freeze));
    Unfreeze(state);
    EXPECT_EQ(FrozenAt(place.leaf), "");
    EXPECT_EQ(*CgroupsOf(child.pid()), leaves_);
    ExpectEnds(std::move(child));
  }
}

// A frozen parent stays frozen; the processes leave it.
TEST_F(Freezer, BelowAFrozenParentTheProcessesMoveOut) {
  for (const Place& place : places_) {
    Child child = Inside();
    const State state{.helpers = {*IdentifyProcess(child.pid())}, .cgroup_paths = {place.leaf}};
    ASSERT_TRUE(WriteFile(place.above + place.file, place.freeze));
    Unfreeze(state);
    EXPECT_EQ(FrozenAt(place.leaf), place.above);
    EXPECT_EQ(FrozenAround(child.pid()), "");
    ExpectEnds(std::move(child));
    ASSERT_TRUE(WriteFile(place.above + place.file, place.thaw));
  }
}

// No record has the stand-in of an exec.
TEST_F(Freezer, StandinsMoveOutAndStrangersStay) {
  std::string directory = ::testing::TempDir() + "/kata-XXXXXX";
  ASSERT_NE(mkdtemp(directory.data()), nullptr);
  const std::string program = directory + "/kata-standin";
  ASSERT_EQ(symlink("/bin/sleep", program.c_str()), 0);
  for (const Place& place : places_) {
    Child standin = Inside(program);
    Child stranger = Inside();
    ASSERT_TRUE(WriteFile(place.above + place.file, place.freeze));
    Unfreeze({.cgroup_paths = {place.leaf}});
    EXPECT_EQ(FrozenAround(standin.pid()), "");
    EXPECT_EQ(FrozenAround(stranger.pid()), place.above);
    ASSERT_TRUE(WriteFile(place.above + place.file, place.thaw));
    ExpectEnds(std::move(standin));
    ExpectEnds(std::move(stranger));
  }
  EXPECT_TRUE(RemoveTree(directory));
}

}  // namespace
}  // namespace kata::sandbox
