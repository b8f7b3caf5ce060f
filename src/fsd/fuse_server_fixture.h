// SPDX-License-Identifier: Apache-2.0
// For tests: a FuseServer on a new directory, and a guest that has begun to speak to it. Run as root.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "base/files.h"
#include "fsd/fuse_guest_fixture.h"

namespace kata::fsd {

class FuseServerTest : public testing::Test {
 protected:
  static constexpr uint64_t kRoot = FUSE_ROOT_ID;

  // For suites that mount: in a mount namespace of this process's own, so that nothing stays on the host.
  static void EnterOwnMounts() {
    ASSERT_EQ(unshare(CLONE_NEWNS), 0);
    ASSERT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
  }

  void SetUp() override {
    char path[] = "/tmp/fsd-test-XXXXXX";
    ASSERT_NE(mkdtemp(path), nullptr);
    path_ = path;
    ASSERT_EQ(chmod(path, 0755), 0);
    Serve({});
  }
  void TearDown() override {
    guest_.reset();
    server_.reset();
    EXPECT_TRUE(RemoveTree(path_));
  }

  void Serve(FuseServer::Options options) {
    guest_.reset();
    server_.reset();
    auto server = FuseServer::Create(UniqueFd(open(path_.c_str(), O_PATH | O_CLOEXEC)), std::move(options));
    ASSERT_TRUE(server) << server.error().message();
    server_ = *std::move(server);
    guest_ = std::make_unique<FuseGuest>(*server_);
    ASSERT_TRUE(guest_->Init().ok());
  }

  std::string Path(std::string_view name) const { return path_ + "/" + std::string(name); }
  // Makes a file on the host.
  void Write(std::string_view name, std::string_view data, mode_t mode = 0644) { WriteTo(Path(name), data, mode); }
  static void WriteTo(const std::string& path, std::string_view data, mode_t mode = 0644) {
    const UniqueFd file(open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, mode));
    ASSERT_TRUE(file.valid());
    ASSERT_TRUE(WriteAll(file.get(), data));
    ASSERT_EQ(fchmod(file.get(), mode), 0);
  }
  std::string Contents(std::string_view name) const { return ReadFile(Path(name)).value_or("(none)"); }
  struct stat Status(std::string_view name) const {
    struct stat status = {};
    EXPECT_EQ(lstat(Path(name).c_str(), &status), 0) << name;
    return status;
  }
  // The node of a name in the root.
  uint64_t Node(std::string_view path) { return guest_->Walk(path); }
  // Opens a file.
  uint64_t OpenFh(uint64_t node, uint32_t flags) { return guest_->Open(node, flags).As<fuse_open_out>().fh; }

  std::string path_;
  std::unique_ptr<FuseServer> server_;
  std::unique_ptr<FuseGuest> guest_;
};

}  // namespace kata::fsd
