// SPDX-License-Identifier: Apache-2.0
// A guest that sends whatever comes to its mind: the server must not fall, tell lies about lengths, keep what it was
// told to forget, or touch anything outside of its directory.
#include <sched.h>
#include <sys/mount.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <filesystem>
#include <random>
#include <thread>
#include <vector>

#include "fsd/fuse_extensions.h"
#include "fsd/fuse_server_fixture.h"

namespace kata::fsd {
namespace {

// What follows the header of a request: a structure of so many bytes, so many names, and then bytes.
struct Shape {
  uint32_t opcode;
  size_t structure;
  int names;
  bool bytes;
};

constexpr Shape kShapes[] = {
    {FUSE_LOOKUP, 0, 1, false},
    {FUSE_FORGET, sizeof(fuse_forget_in), 0, false},
    {FUSE_GETATTR, sizeof(fuse_getattr_in), 0, false},
    {FUSE_SETATTR, sizeof(fuse_setattr_in), 0, false},
    {FUSE_READLINK, 0, 0, false},
    {FUSE_SYMLINK, 0, 2, false},
    {FUSE_MKNOD, sizeof(fuse_mknod_in), 1, false},
    {FUSE_MKDIR, sizeof(fuse_mkdir_in), 1, false},
    {FUSE_UNLINK, 0, 1, false},
    {FUSE_RMDIR, 0, 1, false},
    {FUSE_RENAME, sizeof(fuse_rename_in), 2, false},
    {FUSE_RENAME2, sizeof(fuse_rename2_in), 2, false},
    {FUSE_LINK, sizeof(fuse_link_in), 1, false},
    {FUSE_OPEN, sizeof(fuse_open_in), 0, false},
    {FUSE_READ, sizeof(fuse_read_in), 0, false},
    {FUSE_WRITE, sizeof(fuse_write_in), 0, true},
    {FUSE_STATFS, 0, 0, false},
    {FUSE_RELEASE, sizeof(fuse_release_in), 0, false},
    {FUSE_FSYNC, sizeof(fuse_fsync_in), 0, false},
    {FUSE_SETXATTR, sizeof(fuse_setxattr_in), 1, true},
    {FUSE_GETXATTR, sizeof(fuse_getxattr_in), 1, false},
    {FUSE_LISTXATTR, sizeof(fuse_getxattr_in), 0, false},
    {FUSE_REMOVEXATTR, 0, 1, false},
    {FUSE_FLUSH, sizeof(fuse_flush_in), 0, false},
    {FUSE_OPENDIR, sizeof(fuse_open_in), 0, false},
    {FUSE_READDIR, sizeof(fuse_read_in), 0, false},
    {FUSE_READDIRPLUS, sizeof(fuse_read_in), 0, false},
    {FUSE_RELEASEDIR, sizeof(fuse_release_in), 0, false},
    {FUSE_FSYNCDIR, sizeof(fuse_fsync_in), 0, false},
    {FUSE_CREATE, sizeof(fuse_create_in), 1, false},
    {FUSE_TMPFILE, sizeof(fuse_create_in), 1, false},
    {FUSE_IOCTL, sizeof(fuse_ioctl_in), 0, true},
    {FUSE_FALLOCATE, sizeof(fuse_fallocate_in), 0, false},
    {FUSE_LSEEK, sizeof(fuse_lseek_in), 0, false},
    {FUSE_COPY_FILE_RANGE, sizeof(fuse_copy_file_range_in), 0, false},
    {FUSE_SYNCFS, sizeof(fuse_syncfs_in), 0, false},
    {FUSE_BATCH_FORGET, sizeof(fuse_batch_forget_in), 0, true},
    {FUSE_INTERRUPT, sizeof(fuse_interrupt_in), 0, false},
    {FUSE_ACCESS, sizeof(fuse_access_in), 0, false},
    {FUSE_POLL, sizeof(fuse_poll_in), 0, false},
    {kHostWatch, sizeof(HostWatchIn), 0, false},
    {kHostEvents, 0, 0, false},
    {kHostEventsEnd, 0, 0, false},
    {kBirthTime, 0, 0, false},
    {FUSE_INIT, sizeof(fuse_init_in), 0, false},
};

class FuseServerFuzz : public FuseServerTest {
 protected:
  static void SetUpTestSuite() { EnterOwnMounts(); }
  // Small, so that nothing that it asks for fills the host.
  void SetUp() override {
    FuseServerTest::SetUp();
    ASSERT_EQ(mount("fuzz", path_.c_str(), "tmpfs", 0, "mode=0755,size=8m,nr_inodes=500"), 0);
    ASSERT_EQ(mkdir(Path("share").c_str(), 0755), 0);
    Write("outside", "outside");
    path_ += "/share";
    Serve({.changes = Changes()});
  }
  void TearDown() override {
    guest_.reset();
    server_.reset();
    path_.resize(path_.size() - 6);
    EXPECT_EQ(Contents("outside"), "outside");
    EXPECT_EQ(Status("outside").st_mode, S_IFREG | 0644U);
    size_t entries = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(path_)) ++entries;
    EXPECT_EQ(entries, 2U);
    EXPECT_EQ(umount2(path_.c_str(), MNT_DETACH), 0);
    FuseServerTest::TearDown();
  }

  static std::unique_ptr<HostChanges> Changes() {
    return HostChanges::Open(1880000000U + static_cast<uint32_t>(getpid())).value();
  }
  uint64_t Below(uint64_t limit) { return random_() % limit; }
  bool Chance(uint64_t percent) { return Below(100) < percent; }

  // Numbers that mean something here and there: nodes and fhs are small, flags have few bits.
  uint64_t Number() {
    switch (Below(8)) {
      case 0:
        return Below(30);
      case 1:
      case 2:
        return known_[Below(known_.size())];
      case 3:
        return uint64_t{1} << Below(64);
      case 4:
        return Below(1 << 16);
      case 5:
        return (uint64_t{1} << Below(64)) - 1;
      case 6:
        return random_();
      default:
        return 0;
    }
  }
  std::string Structure(size_t size) {
    std::string bytes;
    // Most begin with an fh.
    if (Chance(50)) bytes = Struct(known_[Below(known_.size())]);
    while (bytes.size() < size) {
      const uint64_t number = Number();
      // Some fields are of 8 bytes, most of 4.
      bytes += Chance(50) ? Struct(number) : Struct(static_cast<uint32_t>(number));
    }
    bytes.resize(size);
    return bytes;
  }
  std::string AnyName() {
    static const std::vector<std::string> names = {"a",
                                                   "b",
                                                   "c",
                                                   "d",
                                                   "e",
                                                   ".",
                                                   "..",
                                                   "",
                                                   "a/b",
                                                   "../outside",
                                                   "/etc/passwd",
                                                   "user.x",
                                                   "trusted.x",
                                                   "user.kata.trusted.x",
                                                   "system.posix_acl_access",
                                                   "security.capability",
                                                   std::string(256, 'n')};
    return Name(names[Chance(80) ? Below(5) : Below(names.size())]);
  }

  std::string Arguments(const Shape& shape) {
    std::string arguments = Structure(shape.structure);
    for (int i = 0; i < shape.names; ++i) arguments += AnyName();
    if (shape.bytes) arguments += Structure(Below(300));
    // Something wrong.
    if (Chance(10)) arguments.resize(Below(arguments.size() + 1));
    if (Chance(10)) arguments += Structure(Below(100));
    if (Chance(10) && !arguments.empty()) arguments[Below(arguments.size())] = static_cast<char>(random_());
    return arguments;
  }

  // Keeps the nodes and fhs of the last replies, which both come first in their structures.
  void Learn(uint32_t opcode, const Answer& answer) {
    const bool entry = opcode == FUSE_LOOKUP || opcode == FUSE_MKNOD || opcode == FUSE_MKDIR || opcode == FUSE_CREATE;
    const bool fh = opcode == FUSE_OPEN || opcode == FUSE_OPENDIR;
    if (entry || fh) known_[Below(known_.size())] = answer.As<uint64_t>();
    if (opcode == FUSE_CREATE) known_[Below(known_.size())] = answer.As<uint64_t>(sizeof(fuse_entry_out));
  }

  void SendOne(uint64_t unique) {
    const Shape& shape = kShapes[Below(std::size(kShapes))];
    // A new INIT forgets everything: not often.
    if (shape.opcode == FUSE_INIT && !Chance(2)) return;
    const std::string arguments = Arguments(shape);
    fuse_in_header header = {};
    header.len = static_cast<uint32_t>(sizeof(header) + arguments.size());
    if (Chance(3)) header.len = static_cast<uint32_t>(Number());
    header.opcode = Chance(2) ? static_cast<uint32_t>(Number()) : shape.opcode;
    header.unique = unique;
    header.nodeid = Chance(40) ? kRoot : known_[Below(known_.size())];
    header.uid = Chance(50) ? 0 : static_cast<uint32_t>(Number());
    header.gid = Chance(50) ? 0 : static_cast<uint32_t>(Number());
    const size_t room = Chance(90) ? 4096 + sizeof(fuse_out_header) : Below(200);
    std::string bytes = Struct(header) + arguments;
    if (Chance(1)) bytes.resize(Below(sizeof(header)));
    const Answer answer = guest_->Send(bytes, room);
    if (header.opcode == FUSE_DESTROY) guest_->Init();
    ASSERT_LE(answer.length, room);
    if (answer.length == 0) return;
    ASSERT_GE(answer.length, sizeof(fuse_out_header));
    EXPECT_EQ(answer.header.len, answer.length);
    EXPECT_EQ(answer.header.unique, unique);
    EXPECT_LE(answer.header.error, 0);
    EXPECT_GT(answer.header.error, -512);
    if (answer.header.error == 0) {
      Learn(header.opcode, answer);
    } else {
      EXPECT_EQ(answer.length, sizeof(fuse_out_header));
    }
  }

  void SendMany(int count) {
    // The lowest number that is free.
    const int before = dup(0);
    close(before);
    for (int i = 1; i <= count && !HasFatalFailure(); ++i) SendOne(static_cast<uint64_t>(i));
    guest_->Call(FUSE_DESTROY, 0, "");
    EXPECT_EQ(server_->inodes(), 1U);
    EXPECT_EQ(server_->open_files(), 0U);
    EXPECT_EQ(server_->watched(), 0U);
    // Nothing has stayed open.
    const int after = dup(0);
    close(after);
    EXPECT_EQ(after, before);
  }

  std::array<uint64_t, 32> known_ = {kRoot};
  std::mt19937_64 random_{1};
};

TEST_F(FuseServerFuzz, AnyRequests) { SendMany(50000); }

// Where files are found again by their names, and few of them are open.
class FuseServerFuzzOverlay : public FuseServerFuzz {
 protected:
  void SetUp() override {
    FuseServerFuzz::SetUp();
    char layers[] = "/tmp/fsd-layers-XXXXXX";
    ASSERT_NE(mkdtemp(layers), nullptr);
    layers_ = layers;
    ASSERT_EQ(mount("layers", layers, "tmpfs", 0, "mode=0755,size=8m,nr_inodes=500"), 0);
    for (const char* name : {"/lower", "/upper", "/work"}) ASSERT_EQ(mkdir((layers_ + name).c_str(), 0755), 0);
    const std::string options = fmt::format("lowerdir={0}/lower,upperdir={0}/upper,workdir={0}/work", layers_);
    ASSERT_EQ(mount("overlay", path_.c_str(), "overlay", 0, options.c_str()), 0);
    Serve({.max_paths = 4, .changes = Changes()});
  }
  void TearDown() override {
    guest_.reset();
    server_.reset();
    EXPECT_EQ(umount2(path_.c_str(), MNT_DETACH), 0);
    EXPECT_EQ(umount2(layers_.c_str(), MNT_DETACH), 0);
    EXPECT_TRUE(RemoveTree(layers_));
    FuseServerFuzz::TearDown();
  }

  std::string layers_;
};

TEST_F(FuseServerFuzzOverlay, AnyRequests) { SendMany(50000); }

TEST_F(FuseServerFuzz, AnyBytes) {
  for (int i = 0; i < 3000; ++i) {
    std::string bytes(Below(200), '\0');
    for (char& byte : bytes) byte = static_cast<char>(random_());
    const Answer answer = guest_->Send(bytes, Below(100));
    ASSERT_LE(answer.length, 100U);
  }
}

TEST_F(FuseServerFuzz, AGuestThatChangesItsMemoryMeanwhile) {
  // Another thread writes to the memory in which the requests lie.
  std::vector<char> memory(65536);
  std::atomic<bool> done = false;
  std::thread writer([&] {
    std::mt19937_64 random{2};
    while (!done) {
      volatile char& byte = memory[random() % 512];
      byte = static_cast<char>(random());
    }
  });
  for (uint64_t i = 0; i < 5000; ++i) {
    const Shape& shape = kShapes[Below(std::size(kShapes))];
    if (shape.opcode == FUSE_INIT) continue;
    const std::string arguments = Arguments(shape);
    fuse_in_header header = {};
    header.len = static_cast<uint32_t>(sizeof(header) + arguments.size());
    header.opcode = shape.opcode;
    header.nodeid = Chance(50) ? kRoot : Number();
    const std::string bytes = Struct(header) + arguments;
    for (size_t at = 0; at < bytes.size() && at < memory.size() / 2; ++at) {
      volatile char& byte = memory[at];
      byte = bytes[at];
    }
    const iovec in = {memory.data(), std::min(bytes.size(), memory.size() / 2)};
    const iovec out = {memory.data() + memory.size() / 2, memory.size() / 2};
    ASSERT_LE(server_->Handle({&in, 1}, {&out, 1}), out.iov_len);
  }
  done = true;
  writer.join();
}

}  // namespace
}  // namespace kata::fsd
