// SPDX-License-Identifier: Apache-2.0
// Mounts, devices and paths of a container, on honest and on hostile root filesystems.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "agent/container/container_fixture.h"
#include "base/files.h"

namespace kata::agent {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

TEST_F(ContainerTest, NothingOfTheGuestIsLeft) {
  // Only the container's own mounts are in its namespace, and nothing lies beneath its root.
  const Outcome outcome = Run(Spec("cat /proc/self/mountinfo; ls /.."));
  ASSERT_FALSE(outcome.error) << outcome.error->message();
  EXPECT_THAT(outcome.out, Not(HasSubstr("/sys/fs/cgroup/memory")));
  EXPECT_THAT(outcome.out, Not(HasSubstr(" base ")));
  EXPECT_THAT(outcome.out, HasSubstr("data\n"));
  // The rootfs is a path on the machine's disk; the guest's root would show as a second mount of "/".
  const std::string from = outcome.out;
  size_t roots = 0;
  for (size_t at = 0; (at = from.find(" / / ", at)) != std::string::npos; ++at) ++roots;
  EXPECT_EQ(roots, 0U);
}

TEST_F(ContainerTest, WithoutACgroupNamespaceItsOwnCgroupIsShown) {
  // As Podman requests on a host with cgroup version 1.
  grpc::Spec spec = Spec(
      "cat /sys/fs/cgroup/cgroup.procs | wc -l; ls /sys/fs/cgroup/cgroup.subtree_control; "
      "mkdir /sys/fs/cgroup/x 2>&1; grep ' /sys/fs/cgroup ' /proc/self/mountinfo");
  auto* namespaces = spec.mutable_linux()->mutable_namespaces();
  for (int i = namespaces->size() - 1; i >= 0; --i) {
    if (namespaces->Get(i).type() == "cgroup") namespaces->DeleteSubrange(i, 1);
  }
  AddMount(&spec, "/sys/fs/cgroup", "cgroup", "cgroup", {"rprivate", "nosuid", "noexec", "nodev", "relatime", "ro"});
  const Outcome outcome = Run(spec);
  ASSERT_FALSE(outcome.error) << outcome.error->message();
  EXPECT_THAT(outcome.out,
              testing::ContainsRegex("^[1-9][0-9]*\n/sys/fs/cgroup/cgroup.subtree_control\nmkdir.*Read-only"));
  EXPECT_THAT(outcome.out, testing::ContainsRegex(" ro,nosuid,nodev,noexec,relatime - cgroup2 "));
}

TEST_F(ContainerTest, TheRootCannotBeUnmountedToShowTheGuest) {
  std::ofstream(directory_ + "/marker") << "the guest's";
  grpc::Spec spec = Spec("umount -l / 2>/dev/null; cat " + directory_ + "/marker 2>&1; echo went on");
  for (auto* set : {spec.mutable_process()->mutable_capabilities()->mutable_bounding(),
                    spec.mutable_process()->mutable_capabilities()->mutable_effective(),
                    spec.mutable_process()->mutable_capabilities()->mutable_permitted()}) {
    *set->Add() = "CAP_SYS_ADMIN";
  }
  const Outcome outcome = Run(spec);
  ASSERT_FALSE(outcome.error) << outcome.error->message();
  EXPECT_THAT(outcome.out, Not(HasSubstr("the guest's")));
  EXPECT_THAT(outcome.out, HasSubstr("went on"));
}

TEST_F(ContainerTest, MountOptionsReachTheKernel) {
  fs::create_directories(directory_ + "/volume/inner");
  std::ofstream(directory_ + "/volume/file") << "content";
  grpc::Spec spec =
      Spec("cat /vol/file; grep -E ' /(vol|t|vol2) ' /proc/self/mountinfo; touch /vol/x 2>&1; stat -c %a /t");
  AddMount(&spec, "/vol", "bind", directory_ + "/volume",
           {"rbind", "ro", "nosuid", "nodev", "noexec", "noatime", "rprivate"});
  AddMount(&spec, "/vol2", "none", directory_ + "/volume", {"bind", "rw", "rshared"});
  AddMount(&spec, "/t", "tmpfs", "tmpfs", {"mode=1750", "size=1m", "nosymfollow"});
  const Outcome outcome = Run(spec);
  ASSERT_FALSE(outcome.error) << outcome.error->message();
  EXPECT_THAT(outcome.out, testing::StartsWith("content"));
  EXPECT_THAT(outcome.out, HasSubstr("/vol ro,nosuid,nodev,noexec,noatime"));
  EXPECT_THAT(outcome.out, HasSubstr("/vol2 rw,"));
  EXPECT_THAT(outcome.out, HasSubstr("shared:"));
  EXPECT_THAT(outcome.out, HasSubstr("nosymfollow"));
  EXPECT_THAT(outcome.out, HasSubstr("Read-only file system"));
  EXPECT_THAT(outcome.out, HasSubstr("1750\n"));
}

TEST_F(ContainerTest, AFileIsBoundOnAFileThatIsMade) {
  std::ofstream(directory_ + "/hosts") << "127.0.0.1 box";
  grpc::Spec spec = Spec("cat /etc/sub/hosts; exit $(grep -c ' /etc/sub/hosts ro' /proc/self/mountinfo)");
  AddMount(&spec, "/etc/sub/hosts", "bind", directory_ + "/hosts", {"bind", "ro"});
  const Outcome outcome = Run(spec);
  ASSERT_FALSE(outcome.error) << outcome.error->message();
  EXPECT_EQ(outcome.out, "127.0.0.1 box");
  EXPECT_EQ(outcome.status, 1);
}

TEST_F(ContainerTest, RecursiveReadOnlyReachesInnerMounts) {
  fs::create_directories(directory_ + "/volume/inner");
  ASSERT_EQ(mount("inner", (directory_ + "/volume/inner").c_str(), "tmpfs", 0, nullptr), 0);
  grpc::Spec spec = Spec("touch /a/inner/x && echo written; touch /b/inner/x 2>&1");
  AddMount(&spec, "/a", "bind", directory_ + "/volume", {"rbind", "ro"});
  AddMount(&spec, "/b", "bind", directory_ + "/volume", {"rbind", "rro"});
  const Outcome outcome = Run(spec);
  ASSERT_EQ(umount2((directory_ + "/volume/inner").c_str(), MNT_DETACH), 0);
  ASSERT_FALSE(outcome.error) << outcome.error->message();
  EXPECT_THAT(outcome.out, HasSubstr("written\n"));
  EXPECT_THAT(outcome.out, HasSubstr("/b/inner/x: Read-only file system"));
}

TEST_F(ContainerTest, TmpfsCopiesUp) {
  fs::create_directories(root_ + "/data/sub");
  std::ofstream(root_ + "/data/sub/file") << "kept";
  fs::permissions(root_ + "/data/sub/file", fs::perms(0640));
  fs::create_symlink("sub/file", root_ + "/data/link");
  ASSERT_EQ(chown((root_ + "/data/sub/file").c_str(), 12, 34), 0);
  ASSERT_EQ(chmod((root_ + "/data").c_str(), 01711), 0);
  grpc::Spec spec = Spec("cat /data/link; stat -c ' %a %u %g' /data/sub/file; stat -c %a /data; echo new >/data/new");
  AddMount(&spec, "/data", "tmpfs", "tmpfs", {"tmpcopyup", "size=1m"});
  const Outcome outcome = Run(spec);
  ASSERT_FALSE(outcome.error) << outcome.error->message();
  EXPECT_EQ(outcome.out, "kept 640 12 34\n1711\n");
  EXPECT_FALSE(fs::exists(root_ + "/data/new"));
}

TEST_F(ContainerTest, ATmpfsHasTheModeOfTheImagesDirectoryOrItsOwn) {
  ASSERT_EQ(chmod((root_ + "/data").c_str(), 0750), 0);
  grpc::Spec spec = Spec("stat -c %a /data /new/deep /asked");
  AddMount(&spec, "/data", "tmpfs", "tmpfs", {});
  AddMount(&spec, "/new/deep", "tmpfs", "tmpfs", {});
  AddMount(&spec, "/asked", "tmpfs", "tmpfs", {"mode=700"});
  const Outcome outcome = Run(spec);
  ASSERT_FALSE(outcome.error) << outcome.error->message();
  EXPECT_EQ(outcome.out, "750\n1777\n700\n");
}

// Mount points and devices are made in them before they become read-only.
TEST_F(ContainerTest, ReadOnlyTmpfsAndDevAreReadOnlyAtTheEnd) {
  grpc::Spec spec = Spec(
      "grep -c ' /dev tmpfs ro,\\| /t tmpfs ro,' /proc/mounts; echo x >/dev/null && echo null; tty; ls /dev/x; "
      "stat -c %F /t/sub/in; echo >/t/new || echo >/dev/new; echo >/t/sub/in/new && pwd");
  spec.mutable_mounts(1)->add_options("ro");  // /dev
  AddMount(&spec, "/t", "tmpfs", "tmpfs", {"ro"});
  AddMount(&spec, "/t/sub/in", "tmpfs", "tmpfs", {});
  auto* device = spec.mutable_linux()->add_devices();
  device->set_path("/dev/x");
  device->set_type("c");
  device->set_major(1);
  device->set_minor(3);
  spec.mutable_process()->set_terminal(true);
  spec.mutable_process()->set_cwd("/t/work");
  const Outcome outcome = Run(spec);
  ASSERT_FALSE(outcome.error) << outcome.error->message();
  EXPECT_EQ(outcome.out,
            "2\r\nnull\r\n/dev/pts/0\r\n/dev/x\r\ndirectory\r\n"
            "/bin/sh: can't create /t/new: Read-only file system\r\n"
            "/bin/sh: can't create /dev/new: Read-only file system\r\n/t/work\r\n");
}

TEST_F(ContainerTest, ABadMountNamesItselfAndWhy) {
  grpc::Spec spec = Spec("true");
  AddMount(&spec, "/x", "tmpfs", "tmpfs", {"size=banana"});
  Outcome outcome = Run(spec);
  ASSERT_TRUE(outcome.error);
  EXPECT_THAT(outcome.error->message(), HasSubstr("mounts[7]"));
  EXPECT_THAT(outcome.error->message(), HasSubstr("size"));
  spec = Spec("true");
  AddMount(&spec, "/x", "bind", directory_ + "/missing", {"bind"});
  outcome = Run(spec);
  ASSERT_TRUE(outcome.error);
  EXPECT_THAT(outcome.error->message(), HasSubstr("No such file"));
  spec = Spec("true");
  AddMount(&spec, "/x", "nosuchfs", "x", {});
  outcome = Run(spec);
  ASSERT_TRUE(outcome.error);
  EXPECT_THAT(outcome.error->message(), HasSubstr("nosuchfs"));
}

TEST_F(ContainerTest, DefaultDevices) {
  const Outcome outcome =
      Run(Spec("for d in null zero full random urandom tty; do stat -c '%n %t:%T %a' /dev/$d; done; for l in ptmx fd "
               "stdin; do readlink /dev/$l; "
               "done; echo x >/dev/null; head -c 2 /dev/zero | wc -c; ls /dev/console 2>&1"));
  ASSERT_FALSE(outcome.error) << outcome.error->message();
  EXPECT_THAT(outcome.out, HasSubstr("/dev/null 1:3 666\n/dev/zero 1:5 666\n/dev/full 1:7 666\n/dev/random 1:8 666\n"
                                     "/dev/urandom 1:9 666\n/dev/tty 5:0 666\n"
                                     "pts/ptmx\n/proc/self/fd\n/proc/self/fd/0\n2\n"));
  EXPECT_THAT(outcome.out, HasSubstr("No such file"));
}

TEST_F(ContainerTest, RequestedDevicesAndTheirCgroup) {
  grpc::Spec spec = Spec(
      "stat -c '%F %t:%T %a %u:%g' /dev/sub/mem /dev/pipe; head -c 0 /dev/sub/mem || echo denied; "
      "echo -n >/dev/kmsg2 && echo allowed; mknod /data/mem c 1 1 && echo made; head -c 0 /data/mem || echo denied");
  auto add = [&spec](const char* path, const char* type, int major, int minor, uint32_t mode) {
    auto* device = spec.mutable_linux()->add_devices();
    device->set_path(path);
    device->set_type(type);
    device->set_major(major);
    device->set_minor(minor);
    device->set_filemode(mode);
    device->set_uid(5);
    device->set_gid(6);
  };
  add("/dev/sub/mem", "c", 1, 1, 0640);
  add("/dev/pipe", "p", 0, 0, 0600);
  add("/dev/kmsg2", "c", 1, 11, 0666);
  auto* rule = spec.mutable_linux()->mutable_resources()->add_devices();
  rule->set_allow(false);
  rule->set_access("rwm");
  rule = spec.mutable_linux()->mutable_resources()->add_devices();
  rule->set_allow(true);
  rule->set_type("c");
  rule->set_major(1);
  rule->set_minor(11);
  rule->set_access("w");
  const Outcome outcome = Run(spec);
  ASSERT_FALSE(outcome.error) << outcome.error->message();
  EXPECT_THAT(outcome.out, HasSubstr("character special file 1:1 640 5:6\nfifo 0:0 600 5:6\n"));
  EXPECT_THAT(outcome.out, HasSubstr("Operation not permitted\ndenied\nallowed\nmade\n"));
  EXPECT_THAT(outcome.out, testing::EndsWith("denied\n"));
}

TEST_F(ContainerTest, ProtectedDevicesAreDeniedToAPrivilegedContainerToo) {
  std::string script = "mknod /data/loop b 7 0 2>&1; mknod /data/kmsg c 1 11 2>&1; mknod /data/mem c 1 1 && echo made";
  struct stat root {};
  ASSERT_EQ(stat("/", &root), 0);
  // A root on a block device is protected by default (CVE-2020-2023); an initramfs or overlay has no such device.
  const bool on_device = major(root.st_dev) != 0;
  if (on_device) script += fmt::format("; mknod /data/root b {} {} 2>&1", major(root.st_dev), minor(root.st_dev));
  grpc::Spec spec = Spec(script);
  auto* rule = spec.mutable_linux()->mutable_resources()->add_devices();
  rule->set_allow(true);
  rule->set_type("a");
  rule->set_access("rwm");
  ContainerOptions options = Options(spec);
  options.protected_devices = {{'c', 1, 11}, {'b', 7, 0}};
  const Outcome outcome = Run(std::move(options));
  ASSERT_FALSE(outcome.error) << outcome.error->message();
  EXPECT_THAT(outcome.out, HasSubstr("/data/loop: Operation not permitted"));
  EXPECT_THAT(outcome.out, HasSubstr("/data/kmsg: Operation not permitted"));
  EXPECT_THAT(outcome.out, HasSubstr("made"));
  if (on_device) {
    EXPECT_THAT(outcome.out, HasSubstr("/data/root: Operation not permitted"));
  }
}

TEST_F(ContainerTest, MaskedAndReadOnlyPaths) {
  fs::create_directories(root_ + "/data/secrets");
  std::ofstream(root_ + "/data/secrets/key") << "secret";
  std::ofstream(root_ + "/data/plain") << "secret";
  grpc::Spec spec = Spec(
      "cat /data/plain; ls /data/secrets; cat /proc/kcore; touch /data/secrets/x 2>&1; echo 1 2>&1 "
      ">/proc/sys/vm/overcommit_memory");
  auto* linux = spec.mutable_linux();
  for (const char* path : {"/data/plain", "/data/secrets", "/proc/kcore", "/missing", "/data/plain/below"}) {
    linux->add_maskedpaths(path);
  }
  for (const char* path : {"/proc/sys", "/missing"}) linux->add_readonlypaths(path);
  const Outcome outcome = Run(spec);
  ASSERT_FALSE(outcome.error) << outcome.error->message();
  EXPECT_THAT(outcome.out, Not(HasSubstr("secret\n")));
  EXPECT_THAT(outcome.out, Not(HasSubstr("key")));
  EXPECT_THAT(outcome.out, HasSubstr("/data/secrets/x: Read-only file system"));
  EXPECT_THAT(outcome.out, HasSubstr("/proc/sys/vm/overcommit_memory: Read-only file system"));
}

TEST_F(ContainerTest, AReadOnlyRootAndItsPropagation) {
  grpc::Spec spec = Spec(
      "touch /x 2>&1; touch /dev/shm/x && echo written; grep ' / / ' /proc/self/mountinfo; cat /proc/self/mountinfo");
  spec.mutable_root()->set_readonly(true);
  spec.mutable_linux()->set_rootfspropagation("shared");
  const Outcome outcome = Run(spec);
  ASSERT_FALSE(outcome.error) << outcome.error->message();
  EXPECT_THAT(outcome.out, HasSubstr("/x: Read-only file system"));
  EXPECT_THAT(outcome.out, HasSubstr("written"));
  EXPECT_THAT(outcome.out, HasSubstr("rootfs / ro,"));
  EXPECT_THAT(outcome.out, HasSubstr("shared:"));
}

TEST_F(ContainerTest, TheWorkingDirectoryIsMade) {
  grpc::Spec spec = Spec("pwd");
  spec.mutable_process()->set_cwd("/made/for/it");
  const Outcome outcome = Run(spec);
  ASSERT_FALSE(outcome.error) << outcome.error->message();
  EXPECT_EQ(outcome.out, "/made/for/it\n");
}

// --- hostile images ---

TEST_F(ContainerTest, ALinkAtProcSysOrDevIsRefused) {
  for (const char* name : {"proc", "sys", "dev"}) {
    fs::remove(root_ + "/" + name);
    fs::create_symlink("/data", root_ + "/" + name);
    grpc::Spec spec = Spec("true");
    if (std::string(name) == "dev") {
      for (const char* at : {"/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"}) DropMount(&spec, at);
    }
    const Outcome outcome = Run(spec);
    ASSERT_TRUE(outcome.error) << name;
    const bool is_dev = std::string(name) == "dev";
    EXPECT_THAT(outcome.error->message(),
                HasSubstr(is_dev ? "must be an ordinary directory" : "must be mounted on ordinary directory"))
        << name;
    fs::remove(root_ + "/" + name);
    fs::create_directory(root_ + "/" + name);
  }
}

TEST_F(ContainerTest, LinksInMountPointsStayInsideTheRoot) {
  fs::create_directories(directory_ + "/outside");
  fs::create_symlink(directory_ + "/outside", root_ + "/link");
  fs::create_symlink("../../../../../.." + directory_ + "/outside", root_ + "/dots");
  grpc::Spec spec = Spec("grep -c ' " + directory_ + "/outside' /proc/self/mountinfo");
  AddMount(&spec, "/link", "tmpfs", "tmpfs", {});
  AddMount(&spec, "/dots", "tmpfs", "tmpfs", {});
  const Outcome outcome = Run(spec);
  // The mount point is made inside the root, where the links lead, or refused; never outside.
  EXPECT_TRUE(outcome.error || outcome.out == "2\n") << outcome.out;
  EXPECT_TRUE(fs::is_empty(directory_ + "/outside"));
}

TEST_F(ContainerTest, MountsInsideProcAreRefused) {
  fs::create_directories(directory_ + "/volume");
  fs::create_symlink("/proc", root_ + "/innocent");
  for (const char* target : {"/proc/sys", "/proc/self/attr", "/innocent/sys", "/proc"}) {
    grpc::Spec spec = Spec("true");
    AddMount(&spec, target, "bind", directory_ + "/volume", {"bind"});
    const Outcome outcome = Run(spec);
    ASSERT_TRUE(outcome.error) << target;
    EXPECT_THAT(outcome.error->message(), HasSubstr("/proc")) << target;
  }
  std::ofstream(directory_ + "/cpuinfo") << "fake";
  grpc::Spec spec = Spec("cat /proc/cpuinfo");
  AddMount(&spec, "/proc/cpuinfo", "bind", directory_ + "/cpuinfo", {"bind"});
  EXPECT_EQ(Run(spec).out, "fake");
}

TEST_F(ContainerTest, AFifoOrADeviceInPlaceOfAFileBlocksNothing) {
  ASSERT_EQ(mkfifo((root_ + "/etc/passwd").c_str(), 0666), 0);
  ASSERT_EQ(mkfifo((root_ + "/etc/hosts").c_str(), 0666), 0);
  ASSERT_EQ(mkfifo((root_ + "/data/masked").c_str(), 0666), 0);
  std::ofstream(directory_ + "/hosts") << "hosts";
  grpc::Spec spec = Spec("cat /etc/hosts /data/masked; echo $HOME");
  AddMount(&spec, "/etc/hosts", "bind", directory_ + "/hosts", {"bind"});
  spec.mutable_linux()->add_maskedpaths("/data/masked");
  const Outcome outcome = Run(spec);
  ASSERT_FALSE(outcome.error) << outcome.error->message();
  EXPECT_EQ(outcome.out, "hosts/\n");
}

TEST_F(ContainerTest, AFakeDevNullMasksNothingOpen) {
  // Without a mount at /dev the container has the image's /dev, in which null is a link to a secret (CVE-2025-31133).
  for (const char* at : {"/dev/pts", "/dev/shm", "/dev/mqueue", "/dev"}) {
    grpc::Spec spec = Spec("true");
    DropMount(&spec, at);
  }
  std::ofstream(root_ + "/data/secret") << "secret";
  fs::create_symlink("/data/secret", root_ + "/dev/null");
  grpc::Spec spec = Spec("cat /data/masked");
  for (const char* at : {"/dev/pts", "/dev/shm", "/dev/mqueue", "/dev"}) DropMount(&spec, at);
  std::ofstream(root_ + "/data/masked") << "masked";
  spec.mutable_linux()->add_maskedpaths("/data/masked");
  const Outcome outcome = Run(spec);
  ASSERT_TRUE(outcome.error);
  EXPECT_THAT(outcome.error->message(), HasSubstr("/dev/null"));
}

TEST_F(ContainerTest, AnImagesOwnDevIsCompleted) {
  grpc::Spec spec = Spec("stat -c %t:%T /dev/null /dev/zero; readlink /dev/ptmx");
  for (const char* at : {"/dev/pts", "/dev/shm", "/dev/mqueue", "/dev"}) DropMount(&spec, at);
  // An existing correct node stays; another file in a device's place is covered by the real device.
  ASSERT_EQ(mknod((root_ + "/dev/zero").c_str(), S_IFCHR | 0666, makedev(1, 5)), 0);
  std::ofstream(root_ + "/dev/null") << "not null";
  std::ofstream(root_ + "/dev/ptmx") << "not ptmx";
  const Outcome outcome = Run(spec);
  ASSERT_FALSE(outcome.error) << outcome.error->message();
  EXPECT_EQ(outcome.out, "1:3\n1:5\npts/ptmx\n");
}

TEST_F(ContainerTest, AFakeDevptsGetsNoTerminal) {
  grpc::Spec spec = Spec("true");
  spec.mutable_process()->set_terminal(true);
  for (const char* at : {"/dev/pts", "/dev/shm", "/dev/mqueue", "/dev"}) DropMount(&spec, at);
  fs::create_directories(root_ + "/dev/pts");
  std::ofstream(root_ + "/dev/pts/ptmx") << "fake";
  Outcome outcome = Run(spec);
  ASSERT_TRUE(outcome.error);
  EXPECT_THAT(outcome.error->message(), HasSubstr("process.terminal"));
  fs::remove(root_ + "/dev/pts/ptmx");
  ASSERT_EQ(mknod((root_ + "/dev/pts/ptmx").c_str(), S_IFCHR | 0666, makedev(5, 2)), 0);
  outcome = Run(spec);
  ASSERT_TRUE(outcome.error);
  EXPECT_THAT(outcome.error->message(), HasSubstr("process.terminal"));
}

TEST_F(ContainerTest, ARacingRenameNeverLeadsOutside) {
  // A child process keeps exchanging the mount point's parent with a link to a directory outside (CVE-2021-30465).
  fs::create_directories(directory_ + "/outside");
  fs::create_directories(root_ + "/target");
  fs::create_symlink(directory_ + "/outside", root_ + "/swap");
  const pid_t swapper = fork();
  if (swapper == 0) {
    const std::string a = root_ + "/target";
    const std::string b = root_ + "/swap";
    for (;;) renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE);
  }
  int ran = 0;
  for (int i = 0; i < 15; ++i) {
    grpc::Spec spec = Spec("true");
    AddMount(&spec, "/target/sub", "tmpfs", "tmpfs", {});
    if (!Run(spec).error) ++ran;
    EXPECT_TRUE(fs::is_empty(directory_ + "/outside"));
  }
  kill(swapper, SIGKILL);
  EXPECT_TRUE(Await(Reaper::Get().Wait(swapper)));
}

TEST_F(ContainerTest, ARootThatIsALinkIsRefused) {
  fs::create_symlink(root_, directory_ + "/link");
  grpc::Spec spec = Spec("true");
  spec.mutable_root()->set_path(directory_ + "/link");
  const Outcome outcome = Run(spec);
  ASSERT_TRUE(outcome.error);
  EXPECT_THAT(outcome.error->message(), HasSubstr("root.path"));
}

TEST_F(ContainerTest, AWorkingDirectoryThroughADescriptorIsRefused) {
  // All descriptors are closed before process.cwd is entered, so that none can lead outside (CVE-2024-21626).
  for (int fd = 3; fd < 24; ++fd) {
    auto container = Started(Spec("sleep 1000"));
    grpc::Process process = Script("cat /proc/self/mountinfo");
    process.set_cwd("/proc/self/fd/" + std::to_string(fd));
    const Outcome outcome = Exec(*container, process);
    EXPECT_TRUE(outcome.error) << fd << ": " << outcome.out;
    Destroy(*container);
  }
}

}  // namespace
}  // namespace kata::agent
