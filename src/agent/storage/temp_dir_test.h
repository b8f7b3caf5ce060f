// SPDX-License-Identifier: Apache-2.0
// A fixture with a GuestDir in a directory of its own, and a directory outside of it that nothing may touch.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <string>

#include "agent/storage/guest_dir.h"
#include "base/files.h"

namespace kata::agent {

class TempDirTest : public ::testing::Test {
 protected:
  TempDirTest() {
    char name[] = "/tmp/kata-agent-test-XXXXXX";
    EXPECT_NE(mkdtemp(name), nullptr);
    top_ = name;
    EXPECT_EQ(mkdir((top_ + "/outside").c_str(), 0755), 0);
    auto root = GuestDir::Open(top_ + "/guest");
    EXPECT_TRUE(root);
    root_ = std::make_unique<GuestDir>(*std::move(root));
  }
  ~TempDirTest() override { (void)RemoveTree(top_); }

  const GuestDir& root() const { return *root_; }
  std::string path() const { return top_ + "/guest"; }
  std::string outside() const { return top_ + "/outside"; }

 private:
  std::string top_;
  std::unique_ptr<GuestDir> root_;
};

}  // namespace kata::agent
