// SPDX-License-Identifier: Apache-2.0
// FuseServer, when one file system of the host does not answer: who asks for files of others does not wait.
#include <linux/fuse.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mount.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <future>
#include <mutex>
#include <thread>
#include <vector>

#include "fsd/fuse_server_fixture.h"

namespace kata::fsd {
namespace {

// A file system of this process's own, with nothing but its root, which answers statfs(2) when it may.
class SlowDisk {
 public:
  explicit SlowDisk(std::string path) : path_(std::move(path)) {
    device_.Reset(open("/dev/fuse", O_RDWR | O_CLOEXEC));
    end_.Reset(eventfd(0, EFD_CLOEXEC));
    const std::string options = fmt::format("fd={},rootmode=40000,user_id=0,group_id=0", device_.get());
    EXPECT_EQ(mount("slow", path_.c_str(), "fuse", 0, options.c_str()), 0);
    thread_ = std::thread([this] { Run(); });
  }
  ~SlowDisk() {
    GoOn();
    EXPECT_EQ(umount2(path_.c_str(), MNT_DETACH), 0);
    EXPECT_EQ(eventfd_write(end_.get(), 1), 0);
    thread_.join();
  }

  // From now on it keeps those waiting who ask for its size.
  void Stop() {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  void AwaitOneThatWaits() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return waits_; });
  }
  void GoOn() {
    const std::lock_guard lock(mutex_);
    stopped_ = false;
    changed_.notify_all();
  }

 private:
  void Run() {
    std::vector<char> buffer(FUSE_MIN_READ_BUFFER + (1U << 17U));
    for (;;) {
      pollfd waits[2] = {{device_.get(), POLLIN, 0}, {end_.get(), POLLIN, 0}};
      if (poll(waits, 2, -1) < 0 || waits[1].revents != 0) return;
      if (read(device_.get(), buffer.data(), buffer.size()) < static_cast<ssize_t>(sizeof(fuse_in_header))) return;
      fuse_in_header header;
      memcpy(&header, buffer.data(), sizeof header);
      Answer(header);
    }
  }
  void Answer(const fuse_in_header& header) {
    fuse_attr_out attributes = {};
    attributes.attr.ino = FUSE_ROOT_ID;
    attributes.attr.mode = S_IFDIR | 0755;
    attributes.attr.nlink = 2;
    switch (header.opcode) {
      case FUSE_INIT:
        Reply(header, 0, Struct(fuse_init_out{.major = FUSE_KERNEL_VERSION, .minor = FUSE_KERNEL_MINOR_VERSION}));
        return;
      case FUSE_GETATTR:
        Reply(header, 0, Struct(attributes));
        return;
      case FUSE_STATFS: {
        std::unique_lock lock(mutex_);
        waits_ = stopped_;
        changed_.notify_all();
        changed_.wait(lock, [this] { return !stopped_; });
        waits_ = false;
        Reply(header, 0, Struct(fuse_statfs_out{}));
        return;
      }
      case FUSE_FORGET:
      case FUSE_BATCH_FORGET:
        return;
      default:
        Reply(header, ENOSYS, "");
    }
  }
  void Reply(const fuse_in_header& header, int error, const std::string& body) const {
    const fuse_out_header out = {static_cast<uint32_t>(sizeof(out) + body.size()), -error, header.unique};
    const std::string reply = Struct(out) + body;
    EXPECT_EQ(write(device_.get(), reply.data(), reply.size()), static_cast<ssize_t>(reply.size()));
  }

  const std::string path_;
  UniqueFd device_;
  UniqueFd end_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopped_ = false;
  bool waits_ = false;
  std::thread thread_;
};

class FuseServerSlowDisk : public FuseServerTest {
 protected:
  static void SetUpTestSuite() { EnterOwnMounts(); }

  void SetUp() override {
    FuseServerTest::SetUp();
    auto changes = HostChanges::Open(1880000000U + static_cast<uint32_t>(getpid()));
    ASSERT_TRUE(changes) << changes.error().message();
    FuseServer::Options options;
    options.changes = *std::move(changes);
    Serve(std::move(options));
    for (const char* name : {"slow", "dir", "other"}) ASSERT_EQ(mkdir(Path(name).c_str(), 0755), 0);
    Write("dir/file", "text");
    ASSERT_EQ(mount("other", Path("other").c_str(), "tmpfs", 0, nullptr), 0);
    disk_ = std::make_unique<SlowDisk>(Path("slow"));
  }
  void TearDown() override {
    guest_.reset();
    server_.reset();
    disk_.reset();
    EXPECT_EQ(umount2(Path("other").c_str(), MNT_DETACH), 0);
    FuseServerTest::TearDown();
  }

  // Somebody asks for what is on the disk, and waits for it. Meanwhile others look names up in a directory that was not
  // looked at before, and in a mount.
  void ExpectThatOthersGoOn(const std::function<void()>& ask) {
    disk_->Stop();
    std::thread waits(ask);
    disk_->AwaitOneThatWaits();
    auto others = std::async(std::launch::async, [this] {
      EXPECT_EQ(guest_->Attributes(Node("dir/file")).size, 4U);
      EXPECT_EQ(guest_->Lookup(Node("other"), "none").error, ENOENT);
    });
    // Reached only in a failure.
    EXPECT_EQ(others.wait_for(std::chrono::seconds(60)), std::future_status::ready);
    disk_->GoOn();
    waits.join();
  }

  std::unique_ptr<SlowDisk> disk_;
};

TEST_F(FuseServerSlowDisk, SomebodyComesAcrossItsMount) {
  ExpectThatOthersGoOn([this] { EXPECT_NE(Node("slow"), 0U); });
}

TEST_F(FuseServerSlowDisk, SomebodyLooksUpANameInIt) {
  const uint64_t slow = Node("slow");
  ASSERT_NE(slow, 0U);
  // From then on its directory would be watched for names.
  ExpectThatOthersGoOn([this, slow] { EXPECT_NE(guest_->Lookup(slow, "none").error, 0); });
}

}  // namespace
}  // namespace kata::fsd
