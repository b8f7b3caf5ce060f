// SPDX-License-Identifier: Apache-2.0
// Uses real mounts in a mount namespace of its own.
#include "sandbox/files/shared_files.h"

#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include <boost/asio/io_context.hpp>

#include "protocol/guest_contract.h"
#include "sandbox/files/guest_mounts.h"
#include "sandbox/host/mount_namespace.h"
#include "sandbox/testing/run.h"

namespace kata::sandbox {
namespace {

namespace fs = std::filesystem;
using testing::TempDir;

class SharedFilesTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    static bool entered = MountNamespaces::EnterPrivate().has_value();
    ASSERT_TRUE(entered);
  }
  void SetUp() override {
    auto shared = SharedFiles::Create(dir_.fd());
    ASSERT_TRUE(shared) << shared.error().message();
    shared_.emplace(*std::move(shared));
    fs::create_directories(source_.path() + "/rootfs/etc");
    source_.Write("rootfs/etc/hello", "hello");
  }
  void TearDown() override { umount2((dir_.path() + "/shared").c_str(), MNT_DETACH); }

  UniqueFd Source(const std::string& name) {
    auto fd = Open(source_.path() + "/" + name, O_PATH | O_CLOEXEC);
    EXPECT_TRUE(fd);
    auto tree = CloneTree(fd->get(), /*recursive=*/true);
    EXPECT_TRUE(tree) << tree.error().message();
    return *std::move(tree);
  }
  Result<> Share(grpc::Spec& spec, SharedNames& names) {
    storages_.clear();
    HostFiles files{.bundle = source_.path(), .rootfs = source_.path() + "/rootfs"};
    grpc::CreateContainerRequest request;
    *request.mutable_oci() = spec;
    asio::io_context io;
    ContainerDisks disks(std::make_shared<Disks>(io.get_executor(), nullptr, MountNamespaces()), "c1", true);
    auto done = ShareWithGuest(*shared_, MountNamespaces(), "c1", std::move(files), request, disks, names);
    spec = request.oci();
    for (const grpc::Storage& storage : request.storages()) storages_.push_back(storage);
    return done;
  }
  std::string Shared(const std::string& name) const { return shared_->path() + "/" + name; }
  static int TryWrite(const std::string& path) {
    UniqueFd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    return fd ? 0 : errno;
  }

  TempDir dir_;
  TempDir source_;
  std::optional<SharedFiles> shared_;
  std::vector<grpc::Storage> storages_;  // of the last Share
};

TEST_F(SharedFilesTest, ATreeIsThereAndGoesAgainAndIsNeverEmptied) {
  auto path = shared_->Add(Source("rootfs"), "c1/rootfs", ReadOnly::kNo);
  ASSERT_TRUE(path) << path.error().message();
  EXPECT_EQ(*path, std::string(contract::kSharedDir) + "/c1/rootfs");
  EXPECT_EQ(*ReadFile(Shared("c1/rootfs/etc/hello")), "hello");
  EXPECT_EQ(TryWrite(Shared("c1/rootfs/new")), 0);
  EXPECT_TRUE(fs::exists(source_.path() + "/rootfs/new"));
  ASSERT_TRUE(shared_->Remove("c1/rootfs"));
  EXPECT_FALSE(fs::exists(Shared("c1")));
  EXPECT_FALSE(fs::exists(Shared("c1/rootfs")));
  EXPECT_TRUE(fs::exists(source_.path() + "/rootfs/etc/hello"));
}

TEST_F(SharedFilesTest, TheExportItselfCannotBeChanged) {
  ASSERT_TRUE(shared_->Add(Source("rootfs"), "c1/rootfs", ReadOnly::kNo));
  EXPECT_EQ(TryWrite(Shared("planted")), EROFS);
  EXPECT_EQ(rename(Shared("c1").c_str(), Shared("c2").c_str()), -1);
  EXPECT_EQ(errno, EROFS);
  EXPECT_EQ(symlink("/etc", Shared("c1/x").c_str()), -1);
}

TEST_F(SharedFilesTest, FilesAreSharedAsFiles) {
  auto path = shared_->Add(Source("rootfs/etc/hello"), "c1-0-hello", ReadOnly::kTop);
  ASSERT_TRUE(path) << path.error().message();
  EXPECT_EQ(*ReadFile(Shared("c1-0-hello")), "hello");
  EXPECT_EQ(TryWrite(Shared("c1-0-hello")), EROFS);
  EXPECT_TRUE(shared_->Remove("c1-0-hello"));
}

TEST_F(SharedFilesTest, ReadOnlyHoldsOnTheHostToo) {
  fs::create_directories(source_.path() + "/rootfs/sub");
  std::string sub = source_.path() + "/rootfs/sub";
  ASSERT_EQ(mount("t", sub.c_str(), "tmpfs", 0, nullptr), 0);
  ASSERT_TRUE(shared_->Add(Source("rootfs"), "top", ReadOnly::kTop));
  ASSERT_TRUE(shared_->Add(Source("rootfs"), "all", ReadOnly::kRecursive));
  EXPECT_EQ(TryWrite(Shared("top/x")), EROFS);
  EXPECT_EQ(TryWrite(Shared("top/sub/x")), 0);
  EXPECT_EQ(TryWrite(Shared("all/x")), EROFS);
  EXPECT_EQ(TryWrite(Shared("all/sub/x")), EROFS);
  EXPECT_EQ(TryWrite(sub + "/y"), 0);  // the source is still writable
  umount2(sub.c_str(), MNT_DETACH);
}

TEST_F(SharedFilesTest, DevicesOfTheHostCannotBeOpenedThroughIt) {
  ASSERT_EQ(mknod((source_.path() + "/rootfs/null").c_str(), S_IFCHR | 0666, makedev(1, 3)), 0);
  ASSERT_TRUE(shared_->Add(Source("rootfs"), "c1/rootfs", ReadOnly::kNo));
  UniqueFd device(open(Shared("c1/rootfs/null").c_str(), O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(device.get(), -1);
  EXPECT_EQ(errno, EACCES);
}

TEST_F(SharedFilesTest, ATakenNameIsRefusedAndStays) {
  ASSERT_TRUE(shared_->Add(Source("rootfs"), "c1/rootfs", ReadOnly::kNo));
  auto again = shared_->Add(Source("rootfs"), "c1/rootfs", ReadOnly::kNo);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code(), Code::kAlreadyExists);
  EXPECT_EQ(*ReadFile(Shared("c1/rootfs/etc/hello")), "hello");
}

TEST_F(SharedFilesTest, MountsReachANamespaceThatWasMadeBefore) {
  // The file server has such a namespace: it is cloned when the server starts.
  auto [reader, writer] = testing::Pipe();
  pid_t child = fork();
  if (child == 0) {
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0) _exit(2);
    kill(getpid(), SIGSTOP);
    UniqueFd file(open(Shared("c1/rootfs/etc/hello").c_str(), O_RDONLY));
    bool read_only = TryWrite(Shared("ro/x")) == EROFS;
    _exit(file && read_only ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, WUNTRACED), child);
  ASSERT_TRUE(WIFSTOPPED(status));
  ASSERT_TRUE(shared_->Add(Source("rootfs"), "c1/rootfs", ReadOnly::kNo));
  ASSERT_TRUE(shared_->Add(Source("rootfs"), "ro", ReadOnly::kRecursive));
  kill(child, SIGCONT);
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

TEST_F(SharedFilesTest, HostMountsAreDroppedButForWhatIsNeeded) {
  std::string other = source_.path() + "/other";
  fs::create_directories(other);
  ASSERT_EQ(mount("t", other.c_str(), "tmpfs", 0, nullptr), 0);
  ASSERT_EQ(TryWrite(other + "/file"), 0);
  ASSERT_TRUE(shared_->Add(Source("rootfs"), "c1/rootfs", ReadOnly::kNo));
  // In a child, so that the other tests keep their mounts.
  pid_t child = fork();
  if (child == 0) {
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0) _exit(2);
    if (!DropHostMounts(shared_->path())) _exit(3);
    if (fs::exists(other + "/file")) _exit(4);
    if (!fs::exists(Shared("c1/rootfs/etc/hello"))) _exit(5);
    if (!fs::exists("/proc/self/status")) _exit(6);
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  EXPECT_TRUE(fs::exists(other + "/file"));
  umount2(other.c_str(), MNT_DETACH);
}

struct TempDirectoryIn {
  explicit TempDirectoryIn(std::string at) : path(std::move(at)) { fs::create_directory(path); }
  ~TempDirectoryIn() { rmdir(path.c_str()); }
  std::string path;
};

grpc::Mount& AddMount(grpc::Spec& spec, const std::string& destination, const std::string& type,
                      const std::string& source, const std::vector<std::string>& options) {
  grpc::Mount& mount = *spec.add_mounts();
  mount.set_destination(destination);
  mount.set_type(type);
  mount.set_source(source);
  for (const auto& option : options) mount.add_options(option);
  return mount;
}

TEST_F(SharedFilesTest, TheSpecIsRewrittenForTheGuest) {
  source_.Write("vol ume/data", "data");
  source_.Write("hosts", "127.0.0.1 me");
  std::string shm = source_.path() + "/shm";
  fs::create_directories(shm);
  ASSERT_EQ(mount("t", shm.c_str(), "tmpfs", 0, nullptr), 0);
  grpc::Spec spec;
  AddMount(spec, "/proc", "proc", "proc", {"nosuid"});
  AddMount(spec, "/data", "bind", source_.path() + "/vol ume", {"rbind", "ro", "rprivate"});
  AddMount(spec, "/etc/hosts", "", "hosts", {"bind"});
  AddMount(spec, "/dev/shm", "bind", shm, {"rbind", "rw"});
  AddMount(spec, "/dev/zero2", "bind", "/dev/zero", {"bind"});
  AddMount(spec, "/hostproc", "bind", "/proc", {"rbind"});
  AddMount(spec, "/dev/shm", "bind", source_.path() + "/vol ume", {"rbind"});
  TempDirectoryIn dev("/dev/kata-test-directory");
  AddMount(spec, "/dev/directory", "bind", dev.path, {"rbind"});
  SharedNames names;
  auto done = Share(spec, names);
  ASSERT_TRUE(done) << done.error().message();
  std::string guest = contract::kSharedDir;
  EXPECT_EQ(spec.root().path(), guest + "/c1/rootfs");
  EXPECT_EQ(spec.mounts(0).source(), "proc");
  EXPECT_EQ(spec.mounts(1).source(), guest + "/c1-1-vol_ume");
  EXPECT_EQ(spec.mounts(1).options_size(), 3);
  EXPECT_EQ(spec.mounts(2).source(), guest + "/c1-2-hosts");
  EXPECT_TRUE(spec.mounts(3).source().starts_with(std::string(contract::kEphemeralDir) + "/shm-"));
  EXPECT_EQ(spec.mounts(4).source(), "/dev/zero");
  EXPECT_EQ(spec.mounts(5).source(), "/proc");
  EXPECT_EQ(spec.mounts(6).source(), guest + "/c1-6-vol_ume");
  EXPECT_EQ(spec.mounts(7).source(), dev.path);
  EXPECT_EQ(*ReadFile(Shared("c1-1-vol_ume/data")), "data");
  EXPECT_EQ(TryWrite(Shared("c1-1-vol_ume/new")), EROFS);
  EXPECT_EQ(*ReadFile(Shared("c1-2-hosts")), "127.0.0.1 me");
  ASSERT_EQ(names.size(), 4U);
  for (const auto& name : names) EXPECT_TRUE(shared_->Remove(name)) << name;
  umount2(shm.c_str(), MNT_DETACH);
}

TEST_F(SharedFilesTest, WhoHasTheSameSharedMemoryOnTheHostHasItInTheGuest) {
  const std::string one = source_.path() + "/one";
  const std::string two = source_.path() + "/two";
  for (const std::string& path : {one, two}) {
    fs::create_directories(path);
    ASSERT_EQ(mount("t", path.c_str(), "tmpfs", 0, "size=2m,mode=1777,uid=7"), 0);
  }
  std::vector<std::string> places;
  for (const std::string& path : {one, two, one}) {
    grpc::Spec spec;
    AddMount(spec, "/dev/shm", "bind", path, {"bind", "nosuid"});
    SharedNames names;
    ASSERT_TRUE(Share(spec, names));
    ASSERT_EQ(storages_.size(), 1U);
    EXPECT_EQ(storages_[0].mount_point(), spec.mounts(0).source());
    const auto& options = storages_[0].options();
    for (const char* option : {"mode=1777", "uid=7", "size=2097152", "nosuid", "nodev", "noexec"}) {
      EXPECT_NE(std::find(options.begin(), options.end(), option), options.end()) << option;
    }
    places.push_back(spec.mounts(0).source());
    for (const auto& name : names) EXPECT_TRUE(shared_->Remove(name)) << name;
  }
  EXPECT_EQ(places[0], places[2]);
  EXPECT_NE(places[0], places[1]);
  for (const std::string& path : {one, two}) umount2(path.c_str(), MNT_DETACH);
}

TEST_F(SharedFilesTest, AMissingSourceNamesItsPlace) {
  grpc::Spec spec;
  AddMount(spec, "/proc", "proc", "proc", {});
  AddMount(spec, "/data", "bind", "/no/such/directory", {"rbind"});
  SharedNames names;
  auto done = Share(spec, names);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code(), Code::kNotFound);
  EXPECT_EQ(done.error().message().find("mounts[1].source: "), 0U) << done.error().message();
  EXPECT_EQ(names, SharedNames{"c1/rootfs"});
}

TEST_F(SharedFilesTest, ResolvConfIsRead) {
  grpc::Spec spec;
  EXPECT_TRUE(DnsOf(ResolvConfOf(spec, source_.path()))->empty());
  source_.Write("resolv", "nameserver 1.2.3.4\n\nsearch x");
  AddMount(spec, "/etc/resolv.conf", "bind", "resolv", {"rbind"});
  auto dns = DnsOf(ResolvConfOf(spec, source_.path()));
  ASSERT_TRUE(dns);
  EXPECT_EQ(*dns, (std::vector<std::string>{"nameserver 1.2.3.4", "search x"}));
}

}  // namespace
}  // namespace kata::sandbox
