// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/file_server.h"

#include <fcntl.h>
#include <fmt/ranges.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <thread>

#include "base/files.h"
#include "base/process_table.h"

namespace kata::hypervisor {
namespace {

using ::testing::HasSubstr;

constexpr int kDeadline = 20000;  // ms; reached only in a failure

// A vhost-user request that the daemon answers when it is ready and inside its sandbox: GET_FEATURES.
bool Answers(const FileServer& daemon) {
  const std::array<uint32_t, 3> request = {1, 1, 0};
  if (send(daemon.vmm_socket.get(), request.data(), sizeof request, MSG_NOSIGNAL) != sizeof request) return false;
  pollfd readable = {daemon.vmm_socket.get(), POLLIN, 0};
  std::array<uint32_t, 5> reply = {};
  return poll(&readable, 1, kDeadline) == 1 &&
         recv(daemon.vmm_socket.get(), reply.data(), sizeof reply, MSG_WAITALL) == sizeof reply && reply[0] == 1;
}

pid_t ChildOf(pid_t pid) {
  const std::vector<pid_t> children = ChildrenOf(pid);
  return children.empty() ? -1 : children.front();
}

UniqueFd PidFd(pid_t pid) { return UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0))); }

bool Ended(const UniqueFd& pidfd) {
  pollfd entry = {pidfd.get(), POLLIN, 0};
  return poll(&entry, 1, kDeadline) == 1;
}

std::string StatusLine(pid_t pid, const std::string& key) {
  const std::string text = ReadFile(fmt::format("/proc/{}/status", pid)).value_or("");
  const size_t start = text.find("\n" + key + ":\t");
  if (start == std::string::npos) return "none";
  const size_t value = start + key.size() + 3;
  return text.substr(value, text.find('\n', value) - value);
}

struct Server {
  const char* name;
  const char* program;
  const char* capabilities;  // CapEff of the process that serves
};

const Server kServers[] = {
    // chown, dac_override, fowner, fsetid, setgid, setuid, mknod, setfcap
    {"virtiofsd", "/usr/lib/qemu/virtiofsd", "00000000880000db"},
#ifdef KATA_FSD
    // and dac_read_search, for file handles
    {"kata_fsd", KATA_FSD, "00000000880000df"},
#endif
};

class FileServerTest : public ::testing::TestWithParam<Server> {
 protected:
  FileServerTest() {
    config_.virtio_fs_daemon = GetParam().program;
    directory_ = ::testing::TempDir() + "/file_server_XXXXXX";
    EXPECT_NE(mkdtemp(directory_.data()), nullptr);
    shared_ = directory_ + "/with, comma";
    EXPECT_EQ(mkdir(shared_.c_str(), 0755), 0);
    runtime_ = Open(directory_, O_PATH | O_DIRECTORY).value();
  }
  ~FileServerTest() override {
    umount2(shared_.c_str(), MNT_DETACH);
    EXPECT_TRUE(RemoveTree(directory_));
  }
  FileServer Start() {
    auto daemon = StartFileServer(config_, shared_, runtime_.get());
    EXPECT_TRUE(daemon) << daemon.error().message();
    return daemon ? *std::move(daemon) : FileServer();
  }

  config::HypervisorConfig config_;
  std::string directory_;
  std::string shared_;
  UniqueFd runtime_;
};

TEST(FileServerArgvTest, Snapshot) {
  config::HypervisorConfig config;
  config.virtio_fs_daemon = "/usr/lib/qemu/virtiofsd";
  config.virtio_fs_cache = "auto";
  config.virtio_fs_extra_args = {"--thread-pool-size=1", "-o", "announce_submounts"};
  EXPECT_EQ(fmt::format("{}", fmt::join(FileServerArgv(config, "/run/kata/a,b/shared", 3, 20000).value(), "\n")),
            R"(/usr/lib/qemu/virtiofsd
-f
--thread-pool-size=1
-o
announce_submounts
-o
cache=auto
-o
xattrmap=/ok/all/user./user.//ok/all/security.capability/security.capability//unsupported/all///
-o
sandbox=namespace
-o
source=/run/kata/a\,b/shared
--rlimit-nofile=20000
--fd=3)");
}

TEST(FileServerArgvTest, CacheModes) {
  config::HypervisorConfig config;
  for (const auto& [name, option] : std::vector<std::pair<std::string, std::string>>{
           {"never", "cache=none"}, {"metadata", "cache=auto"}, {"auto", "cache=auto"}, {"always", "cache=always"}}) {
    config.virtio_fs_cache = name;
    EXPECT_THAT(FileServerArgv(config, "/s", 3, 1).value(), ::testing::Contains(option)) << name;
  }
  config.virtio_fs_cache = "sometimes";
  EXPECT_FALSE(FileServerArgv(config, "/s", 3, 1));
}

TEST(FileServerArgvTest, EachFileSystemHasANumberOfItsOwnWhateverElseIsSet) {
  config::HypervisorConfig config;
  for (const std::vector<std::string>& extra :
       std::vector<std::vector<std::string>>{{}, {"-o", "timeout=0"}, {"--announce-submounts"}}) {
    config.virtio_fs_extra_args = extra;
    const auto argv = FileServerArgv(config, "/s", 3, 1).value();
    EXPECT_EQ(std::count(argv.begin(), argv.end(), "announce_submounts"), 1)
        << fmt::format("{}", fmt::join(extra, " "));
  }
}

// The daemon runs as root: no argument may weaken its sandbox or export another directory.
TEST(FileServerArgvTest, ArgumentsThatOpenSomethingAreRefused) {
  config::HypervisorConfig config;
  for (const std::vector<std::string>& extra :
       std::vector<std::vector<std::string>>{{"-o", "sandbox=chroot"},
                                             {"-o", "announce_submounts,source=/"},
                                             {"-osource=/"},
                                             {"source=/"},
                                             {"-o", "modcaps=+sys_admin"},
                                             {"-o", "allow_root"},
                                             {"-o", "xattrmap=:map::user.virtiofs.:"},
                                             {"-o"},
                                             {"-o", "timeout="},
                                             {"--socket-path=/tmp/x"},
                                             {"--fd=0"},
                                             {"--seccomp=none"},
                                             {"--sandbox", "none"},
                                             {"--thread-pool-size=1 --fd=0"},
                                             {"-d"}}) {
    config.virtio_fs_extra_args = extra;
    const auto argv = FileServerArgv(config, "/s", 3, 1);
    ASSERT_FALSE(argv) << fmt::format("{}", fmt::join(extra, " "));
    EXPECT_EQ(argv.error().code(), Code::kInvalidArgument);
  }
}

TEST_P(FileServerTest, RunsConfined) {
  FileServer daemon = Start();
  ASSERT_TRUE(Answers(daemon)) << daemon.LogTail();
  EXPECT_EQ(access((directory_ + "/file-server.sock").c_str(), F_OK), -1);
  const pid_t inner = ChildOf(daemon.process.pid());
  ASSERT_GT(inner, 0);
  EXPECT_EQ(StatusLine(inner, "Seccomp"), "2");
  EXPECT_EQ(StatusLine(inner, "NoNewPrivs"), "1");
  EXPECT_EQ(StatusLine(inner, "CapEff"), GetParam().capabilities);
  EXPECT_EQ(StatusLine(inner, "CapBnd"), "0000000000000000");
  // The outer process gives its own up while the inner one may answer already; there is no event to wait for.
  const std::string none = "0000000000000000";
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (StatusLine(daemon.process.pid(), "CapEff") != none && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_EQ(StatusLine(daemon.process.pid(), "CapEff"), none);
  for (const char* ns : {"mnt", "pid", "net"}) {
    char ours[64] = {};
    char theirs[64] = {};
    ASSERT_GT(readlink(fmt::format("/proc/self/ns/{}", ns).c_str(), ours, sizeof ours - 1), 0);
    ASSERT_GT(readlink(fmt::format("/proc/{}/ns/{}", inner, ns).c_str(), theirs, sizeof theirs - 1), 0);
    EXPECT_STRNE(ours, theirs);
  }
  // Its root is the shared directory, which it cannot leave by any path.
  struct stat root {
  }, shared{};
  ASSERT_EQ(stat(fmt::format("/proc/{}/root/", inner).c_str(), &root), 0) << ErrnoText(errno);
  ASSERT_EQ(stat(shared_.c_str(), &shared), 0);
  EXPECT_EQ(root.st_dev, shared.st_dev);
  EXPECT_EQ(root.st_ino, shared.st_ino);
  const std::string mounts = ReadFile(fmt::format("/proc/{}/mountinfo", inner)).value();
  EXPECT_EQ(std::count(mounts.begin(), mounts.end(), '\n'), 1) << mounts;
  const UniqueFd inner_fd = PidFd(inner);
  daemon.End();
  EXPECT_FALSE(daemon.process.running());
  EXPECT_TRUE(Ended(inner_fd));
}

TEST_P(FileServerTest, EndsWhenTheVmmHasGone) {
  FileServer daemon = Start();
  ASSERT_TRUE(Answers(daemon)) << daemon.LogTail();
  const UniqueFd inner = PidFd(ChildOf(daemon.process.pid()));
  daemon.vmm_socket.Reset();
  EXPECT_TRUE(Ended(inner));
  EXPECT_TRUE(daemon.process.Wait());
}

TEST_P(FileServerTest, ParentKilledLeavesNothing) {
  int result[2];
  ASSERT_EQ(pipe2(result, O_CLOEXEC), 0);
  const UniqueFd read_end(result[0]);
  UniqueFd write_end(result[1]);
  const pid_t parent = fork();
  ASSERT_GE(parent, 0);
  if (parent == 0) {
    const FileServer daemon = Start();
    const bool ready = Answers(daemon);
    const std::array<pid_t, 2> pids = {ready ? daemon.process.pid() : -1, ready ? ChildOf(daemon.process.pid()) : -1};
    if (write(write_end.get(), pids.data(), sizeof pids) < 0) _exit(1);
    pause();
    _exit(0);
  }
  write_end.Reset();
  std::array<pid_t, 2> pids = {-1, -1};
  ASSERT_EQ(read(read_end.get(), pids.data(), sizeof pids), static_cast<ssize_t>(sizeof pids));
  ASSERT_GT(pids[0], 0);
  ASSERT_GT(pids[1], 0);
  const UniqueFd outer = PidFd(pids[0]);
  const UniqueFd inner = PidFd(pids[1]);
  ASSERT_EQ(kill(parent, SIGKILL), 0);
  ASSERT_EQ(waitpid(parent, nullptr, 0), parent);
  EXPECT_TRUE(Ended(outer));
  EXPECT_TRUE(Ended(inner));
}

// The rootfs of a container that joins a running sandbox is mounted after the daemon has started.
TEST_P(FileServerTest, SeesMountsMadeLater) {
  ASSERT_EQ(unshare(CLONE_NEWNS), 0);
  ASSERT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr), 0);
  ASSERT_EQ(mount("shared", shared_.c_str(), "tmpfs", 0, nullptr), 0);
  ASSERT_EQ(mount(nullptr, shared_.c_str(), nullptr, MS_SHARED, nullptr), 0);
  ASSERT_EQ(mkdir((shared_ + "/rootfs").c_str(), 0755), 0);
  FileServer daemon = Start();
  ASSERT_TRUE(Answers(daemon)) << daemon.LogTail();
  ASSERT_EQ(mount("later", (shared_ + "/rootfs").c_str(), "tmpfs", 0, nullptr), 0);
  UniqueFd file(open((shared_ + "/rootfs/file").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
  ASSERT_TRUE(file);
  file.Reset();
  const pid_t inner = ChildOf(daemon.process.pid());
  EXPECT_THAT(ReadFile(fmt::format("/proc/{}/mountinfo", inner)).value(), HasSubstr(" /rootfs "));
  EXPECT_EQ(access(fmt::format("/proc/{}/root/rootfs/file", inner).c_str(), F_OK), 0) << ErrnoText(errno);
  ASSERT_EQ(umount((shared_ + "/rootfs").c_str()), 0);
  EXPECT_EQ(access(fmt::format("/proc/{}/root/rootfs/file", inner).c_str(), F_OK), -1);
}

TEST_P(FileServerTest, AMissingDirectoryIsInItsMessages) {
  shared_ += "/missing";
  FileServer daemon = Start();
  EXPECT_FALSE(Answers(daemon));
  ASSERT_TRUE(daemon.process.Wait());
  EXPECT_THAT(daemon.LogTail(), HasSubstr("missing"));
}

INSTANTIATE_TEST_SUITE_P(Servers, FileServerTest, ::testing::ValuesIn(kServers),
                         [](const auto& info) { return std::string(info.param.name); });

TEST_P(FileServerTest, TheEndOfOneThatSaidNothingNamesTheProgram) {
  config_.virtio_fs_daemon = "/bin/false";
  const FileServer silent = Start();
  EXPECT_EQ(silent.DescribeExit({.code = 1}),
            "false exited with status 1 without a word (virtio_fs_daemon in [hypervisor.qemu] is /bin/false)");
  EXPECT_EQ(silent.DescribeExit({.signal = SIGKILL}), "false was killed by signal 9 (Killed)");
}

TEST_P(FileServerTest, AMissingProgramIsAnErrorWithAdvice) {
  config_.virtio_fs_daemon = "/nonexistent/kata-fsd";
  const auto daemon = StartFileServer(config_, shared_, runtime_.get());
  ASSERT_FALSE(daemon);
  EXPECT_THAT(daemon.error().message(), HasSubstr("/nonexistent/kata-fsd"));
  EXPECT_THAT(daemon.error().message(), HasSubstr("install kata-fsd, or set virtio_fs_daemon in [hypervisor.qemu]"));
  EXPECT_EQ(access((directory_ + "/file-server.sock").c_str(), F_OK), -1);
}

}  // namespace
}  // namespace kata::hypervisor
