// SPDX-License-Identifier: Apache-2.0
// FuseServer when the guest has opened as many files as it can: the others can go on.
#include <sys/mount.h>
#include <sys/resource.h>

#include <filesystem>
#include <string>
#include <vector>

#include "fsd/fuse_server_fixture.h"

namespace kata::fsd {
namespace {

constexpr size_t kLimit = 200;
constexpr size_t kReserve = kLimit / 4;

class FuseServerReserve : public FuseServerTest {
 protected:
  static void SetUpTestSuite() { EnterOwnMounts(); }

  void SetUp() override {
    FuseServerTest::SetUp();
    ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit_), 0);
    const rlimit low = {kLimit, limit_.rlim_max};
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
    ASSERT_EQ(mount("files", path_.c_str(), "tmpfs", 0, "mode=0755"), 0);
    Serve({});
  }
  void TearDown() override {
    guest_.reset();
    server_.reset();
    EXPECT_EQ(umount2(path_.c_str(), MNT_DETACH), 0);
    EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &limit_), 0);
    FuseServerTest::TearDown();
  }

  // Without those beyond the limit, which the process may have been started with.
  static size_t Descriptors() {
    size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd"))
      count += std::stoul(entry.path().filename()) < kLimit ? 1 : 0;
    return count - 1;  // the iterator's own
  }
  int StatusError(uint64_t node) { return guest_->Call(FUSE_GETATTR, node, Struct(fuse_getattr_in{})).error; }

  struct Opened {
    std::string name;
    uint64_t node;
    uint64_t fh;
  };
  // Opens files until that is refused, with ENFILE.
  std::vector<Opened> OpenAll() {
    std::vector<Opened> files;
    for (size_t i = 0; i <= kLimit; ++i) {
      const std::string name = fmt::format("file{}", i);
      Write(name, name);
      const uint64_t node = Node(name);
      const Answer answer = guest_->Open(node, O_RDWR);
      if (!answer.ok()) {
        EXPECT_EQ(answer.error, ENFILE);
        return files;
      }
      files.push_back({name, node, answer.As<fuse_open_out>().fh});
    }
    ADD_FAILURE() << "there is no limit";
    return files;
  }

 private:
  rlimit limit_ = {};
};

TEST_F(FuseServerReserve, LeavesOthersWhatTheyNeed) {
  const size_t before = Descriptors();
  Write("other", "text");
  ASSERT_TRUE(std::filesystem::create_directories(Path("some/directory")));
  const std::vector<Opened> files = OpenAll();
  EXPECT_EQ(before + files.size(), kLimit - kReserve);

  // Nothing is made by what is refused.
  EXPECT_EQ(guest_->Create(kRoot, "new", O_RDWR, 0644).error, ENFILE);
  EXPECT_EQ(Contents("new"), "(none)");
  EXPECT_EQ(guest_->Open(Node("other"), O_WRONLY | O_TRUNC).error, ENFILE);
  EXPECT_EQ(Contents("other"), "text");
  EXPECT_EQ(guest_->OpenDirectory(kRoot).error, ENFILE);
  EXPECT_EQ(guest_->Create(kRoot, "", O_RDWR, 0644, FUSE_TMPFILE).error, ENFILE);

  // All else goes on.
  const uint64_t other = Node("other");
  EXPECT_EQ(guest_->Attributes(other).size, 4U);
  fuse_setattr_in size = {};
  size.valid = FATTR_SIZE;
  size.size = 2;
  EXPECT_TRUE(guest_->SetAttributes(other, size).ok());
  EXPECT_TRUE(guest_->SetXattr(other, "trusted.x", "value").ok());
  EXPECT_NE(Node("some/directory"), 0U);
  EXPECT_TRUE(guest_->MakeDirectory(kRoot, "made", 0755).ok());
  EXPECT_TRUE(guest_->Rename(kRoot, "made", Node("some"), "moved").ok());
  EXPECT_TRUE(guest_->RemoveDirectory(Node("some"), "moved").ok());
  EXPECT_TRUE(guest_->Unlink(kRoot, "other").ok());
  EXPECT_EQ(guest_->Read(files[0].node, files[0].fh, 0, 100).body, files[0].name);
  EXPECT_TRUE(guest_->Write(files[0].node, files[0].fh, 0, "F").ok());

  // One that is closed makes room for one.
  EXPECT_TRUE(guest_->Release(files[0].node, files[0].fh).ok());
  guest_->Forget(other, 1);
  const Answer made = guest_->Create(kRoot, "new", O_RDWR, 0644);
  EXPECT_TRUE(made.ok());
  EXPECT_EQ(guest_->OpenDirectory(kRoot).error, ENFILE);
}

TEST_F(FuseServerReserve, AnOpenFileWithoutANameTakesOneDescriptor) {
  const std::vector<Opened> files = OpenAll();
  const size_t open = Descriptors();
  for (const Opened& file : files) {
    ASSERT_TRUE(guest_->Unlink(kRoot, file.name).ok());
    EXPECT_EQ(guest_->Attributes(file.node).nlink, 0U);
    EXPECT_EQ(guest_->Read(file.node, file.fh, 0, 100).body, file.name);
  }
  EXPECT_EQ(Descriptors(), open);
  fuse_setattr_in mode = {};
  mode.valid = FATTR_MODE;
  mode.mode = 0600;
  EXPECT_EQ(guest_->SetAttributes(files[0].node, mode).As<fuse_attr_out>().attr.mode, S_IFREG | 0600U);

  // It stays until the guest has closed and forgotten it.
  for (const Opened& file : files) {
    EXPECT_TRUE(guest_->Release(file.node, file.fh).ok());
    EXPECT_EQ(StatusError(file.node), 0);
    guest_->Forget(file.node, 1);
  }
  EXPECT_EQ(Descriptors(), open - files.size());
}

// By two opens, of which the later one ends first.
TEST_F(FuseServerReserve, AFileThatIsOpenTwice) {
  Write("file", "text");
  const uint64_t node = Node("file");
  const uint64_t first = OpenFh(node, O_RDONLY);
  const uint64_t second = OpenFh(node, O_WRONLY);
  EXPECT_TRUE(guest_->Release(node, second).ok());
  EXPECT_TRUE(guest_->Unlink(kRoot, "file").ok());
  EXPECT_EQ(guest_->Attributes(node).nlink, 0U);
  EXPECT_TRUE(guest_->Release(node, first).ok());
  EXPECT_EQ(guest_->Attributes(node).size, 4U);
}

// What is removed while the guest has it, but not open, may have half of the reserve.
TEST_F(FuseServerReserve, FilesWithoutANameDoNotTakeAllOfIt) {
  std::vector<Opened> removed;
  for (size_t i = 0; i < kLimit; ++i) {
    const std::string name = fmt::format("removed{}", i);
    Write(name, name);
    removed.push_back({name, Node(name), 0});
  }
  const std::vector<Opened> files = OpenAll();
  for (const Opened& file : removed) EXPECT_TRUE(guest_->Unlink(kRoot, file.name).ok());
  EXPECT_EQ(Descriptors(), kLimit - kReserve / 2);
  EXPECT_EQ(StatusError(removed.front().node), 0);
  EXPECT_NE(Node(files[0].name), 0U);
  EXPECT_EQ(StatusError(files[0].node), 0);
}

// Its files have no handles, so some are open for the next request only.
TEST_F(FuseServerReserve, ACacheMakesRoom) {
  for (const char* name : {"lower", "upper", "work", "share"})
    ASSERT_TRUE(std::filesystem::create_directory(Path(name)));
  const std::string share = Path("share");
  const std::string options = fmt::format("lowerdir={0}/lower,upperdir={0}/upper,workdir={0}/work", path_);
  ASSERT_EQ(mount("overlay", share.c_str(), "overlay", 0, options.c_str()), 0);
  std::vector<uint64_t> nodes;
  for (size_t i = 0; i < kLimit; ++i) {
    WriteTo(share + "/" + std::to_string(i), "text");
    nodes.push_back(Node("share/" + std::to_string(i)));
    EXPECT_EQ(guest_->Attributes(nodes.back()).size, 4U);
  }
  EXPECT_EQ(Descriptors(), kLimit - kReserve);
  EXPECT_NE(OpenFh(nodes[0], O_RDONLY), 0U);
  EXPECT_LT(Descriptors(), kLimit - kReserve);
  for (const uint64_t node : nodes) EXPECT_EQ(guest_->Attributes(node).size, 4U);
  EXPECT_EQ(umount2(share.c_str(), MNT_DETACH), 0);
}

}  // namespace
}  // namespace kata::fsd
