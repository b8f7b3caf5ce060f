// SPDX-License-Identifier: Apache-2.0
// Real guests in real QEMU: the kernel of guest/kernel with an init of ours (testing/init.cpp).
#include "hypervisor/qemu/driver.h"

#include <fcntl.h>
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
#include <sys/xattr.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>

#include "base/files.h"
#include "hypervisor/file_server.h"

namespace kata::hypervisor::qemu {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr uid_t kUser = 1880000000 + 77;

std::string GuestDir() {
  const char* directory = getenv("KATA_TEST_GUEST");
  return directory != nullptr ? directory : KATA_GUEST_DIR;
}

// One file of a cpio archive of format newc (Documentation/driver-api/early-userspace/buffer-format.rst).
std::string CpioEntry(const std::string& name, unsigned mode, const std::string& data) {
  std::string entry =
      fmt::format("070701{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}", 1, mode, 0, 0,
                  1, 0, data.size(), 0, 0, 0, 0, name.size() + 1, 0);
  entry += name + '\0';
  entry.resize((entry.size() + 3) / 4 * 4);
  entry += data;
  entry.resize((entry.size() + 3) / 4 * 4);
  return entry;
}

class DriverTest : public ::testing::TestWithParam<std::string> {
 protected:
  DriverTest() {
    directory_ = ::testing::TempDir() + "/driver_XXXXXX";
    EXPECT_NE(mkdtemp(directory_.data()), nullptr);
    config_.hypervisor.accel = "tcg";
#ifdef KATA_FSD
    config_.hypervisor.virtio_fs_daemon = KATA_FSD;
#endif
    config_.hypervisor.kernel = GuestDir() + "/vmlinux";
    config_.hypervisor.initrd = directory_ + "/initrd";
    const std::string init = ReadFile(KATA_TEST_INIT, 64U << 20U).value();
    std::ofstream(config_.hypervisor.initrd)
        << CpioEntry("dev", 0040755, "") << CpioEntry("init", 0100755, init) << CpioEntry("TRAILER!!!", 0, "");
  }
  ~DriverTest() override {
    driver_.reset();
    context_.restart();
    context_.poll();
    umount2((directory_ + "/shared/later").c_str(), MNT_DETACH);
    umount2((directory_ + "/shared").c_str(), MNT_DETACH);
    EXPECT_TRUE(RemoveTree(directory_));
  }

  VmSpec Spec(const std::string& test) {
    VmSpec spec;
    spec.id = "driver-test";
    spec.memory_mib = 128;
    spec.user = {kUser, kUser};
    spec.kernel_parameters = {"test=" + test};
    return spec;
  }
  Result<> Start(VmSpec spec) {
    driver_ = CreateHypervisor(context_.get_executor(), config_).value();
    return Run(driver_->Start(std::move(spec)));
  }
  // Starts a VM; the start must succeed.
  template <typename Argument>
  ::testing::AssertionResult Started(Argument argument) {
    const auto started = Start(std::move(argument));
    return started ? ::testing::AssertionSuccess() : ::testing::AssertionFailure() << started.error().message();
  }
  Result<> Start(const std::string& test) { return Start(Spec(test)); }
  template <typename T>
  T Run(asio::awaitable<T> work) {
    std::optional<T> result;
    asio::co_spawn(context_, std::move(work), [&result](std::exception_ptr, T value) { result = std::move(value); });
    context_.restart();
    while (!result && context_.run_one() > 0) {
    }
    return *std::move(result);
  }
  VmExit Exit() { return Run(driver_->Wait()); }
  // Runs the event loop until the console has this text; false after 100 s or at the guest's end.
  bool ConsoleShows(const std::string& text) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(100);
    context_.restart();
    while (driver_->ConsoleTail().find(text) == std::string::npos) {
      if (context_.run_one_until(deadline) == 0 || driver_->Pids().empty()) return false;
    }
    return true;
  }

  asio::io_context context_;
  config::Config config_;
  std::string directory_;
  std::unique_ptr<Hypervisor> driver_;
};

TEST_P(DriverTest, RunsAndPowersOff) {
  config_.hypervisor.machine_type = GetParam();
  ASSERT_TRUE(Started("echo"));
  const pid_t pid = driver_->Pids().at(0);
  const std::string status = ReadFile(fmt::format("/proc/{}/status", pid)).value();
  EXPECT_THAT(status, HasSubstr(fmt::format("\nUid:\t{0}\t{0}\t{0}\t{0}\n", kUser)));
  EXPECT_THAT(status, HasSubstr("\nGroups:\t \n"));
  EXPECT_THAT(status, HasSubstr("\nCapPrm:\t0000000000000000\n"));
  EXPECT_THAT(status, HasSubstr("\nNoNewPrivs:\t1\n"));
  EXPECT_THAT(status, HasSubstr("\nSeccomp:\t2\n"));

  auto agent = Run(driver_->ConnectAgent());
  ASSERT_TRUE(agent);
  EXPECT_FALSE(Run(driver_->ConnectAgent()));  // the port allows only one connection
  ASSERT_TRUE(ConsoleShows("the port is open")) << driver_->ConsoleTail();
  // A megabyte in both directions: more than any buffer on the way holds.
  std::string data(1 << 20, '\0');
  for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<char>(i * 7 + i / 256);
  std::string back;
  size_t sent = 0;
  while (back.size() < data.size()) {
    pollfd ready = {agent->get(), POLLIN, 0};
    if (sent < data.size()) ready.events |= POLLOUT;
    ASSERT_EQ(poll(&ready, 1, 100000), 1);
    if ((ready.revents & POLLOUT) != 0) {
      sent += static_cast<size_t>(std::max<ssize_t>(
          send(agent->get(), data.data() + sent, data.size() - sent, MSG_DONTWAIT | MSG_NOSIGNAL), 0));
    }
    if ((ready.revents & POLLIN) != 0) {
      char buffer[65536];
      const ssize_t count = recv(agent->get(), buffer, sizeof buffer, MSG_DONTWAIT);
      ASSERT_GT(count, 0);
      back.append(buffer, static_cast<size_t>(count));
    }
  }
  EXPECT_TRUE(back == data);
  agent->Reset();  // the end of the stream, at which this init powers off
  const VmExit exit = Exit();
  EXPECT_THAT(exit.reason, HasSubstr(GetParam() == "q35" ? "the guest powered off" : "the guest restarted"));
  EXPECT_EQ(exit.powered_off, GetParam() == "q35");
  EXPECT_TRUE(driver_->Pids().empty());
}

INSTANTIATE_TEST_SUITE_P(Machines, DriverTest, ::testing::Values("q35", "microvm"));

using Vm = DriverTest;

TEST_F(Vm, KilledIsToldToEveryWaiter) {
  ASSERT_TRUE(Started("hang"));
  ASSERT_TRUE(ConsoleShows("init: hang")) << driver_->ConsoleTail();
  int told = 0;
  for (int i = 0; i < 3; ++i) {
    asio::co_spawn(context_, driver_->Wait(), [&told](std::exception_ptr, const VmExit& exit) {
      EXPECT_THAT(exit.reason, HasSubstr("QEMU was killed by signal 9 (Killed)"));
      EXPECT_THAT(exit.reason, HasSubstr("\n  init: hang"));
      ++told;
    });
  }
  ASSERT_EQ(kill(driver_->Pids().at(0), SIGKILL), 0);
  EXPECT_FALSE(Exit().powered_off);
  context_.restart();
  context_.poll();
  EXPECT_EQ(told, 3);
  EXPECT_EQ(Run(driver_->ConnectAgent()).error().code(), Code::kUnavailable);
}

TEST_F(Vm, KillEndsIt) {
  ASSERT_TRUE(Started("hang"));
  driver_->Kill();
  EXPECT_THAT(Exit().reason, HasSubstr("signal 9"));
  driver_->Kill();
}

TEST_F(Vm, DestroyedBeforeItsEnd) {
  ASSERT_TRUE(Started("hang"));
  const UniqueFd pidfd(static_cast<int>(syscall(SYS_pidfd_open, driver_->Pids().at(0), 0)));
  bool told = false;
  asio::co_spawn(context_, driver_->Wait(), [&told](std::exception_ptr, const VmExit&) { told = true; });
  context_.poll();
  driver_.reset();
  pollfd ended = {pidfd.get(), POLLIN, 0};
  EXPECT_EQ(poll(&ended, 1, 0), 1);
  context_.restart();
  context_.poll();
  EXPECT_TRUE(told);
}

TEST_F(Vm, Panic) {
  ASSERT_TRUE(Started("panic"));
  const VmExit exit = Exit();
  EXPECT_FALSE(exit.powered_off);
  EXPECT_THAT(exit.reason, HasSubstr("the guest kernel panicked: Attempted to kill init!"));
  EXPECT_THAT(exit.reason, HasSubstr("\n  init: panic"));
}

TEST_F(Vm, PanicThatStandsStill) {
  VmSpec spec = Spec("panic");
  spec.kernel_parameters.emplace_back("panic=0");
  ASSERT_TRUE(Started(std::move(spec)));
  EXPECT_THAT(Exit().reason, HasSubstr("the guest kernel panicked: Attempted to kill init!"));
}

TEST_F(Vm, PanicWithoutInit) {
  VmSpec spec = Spec("hang");
  spec.kernel_parameters.emplace_back("rdinit=/missing root=/dev/nothing");
  ASSERT_TRUE(Started(std::move(spec)));
  EXPECT_THAT(Exit().reason, HasSubstr("the guest kernel panicked: "));
}

TEST_F(Vm, Reboot) {
  ASSERT_TRUE(Started("reboot"));
  EXPECT_THAT(Exit().reason, HasSubstr("the guest restarted"));
}

TEST_F(Vm, AFloodOfTheConsoleHoldsNothingUp) {
  ASSERT_TRUE(Started("flood"));
  ASSERT_TRUE(ConsoleShows("flood of the console"));
  EXPECT_LE(driver_->ConsoleTail().size(), 8192U);
  EXPECT_THAT(driver_->ConsoleTail(), Not(HasSubstr("\x1b")));
  driver_->Kill();
  EXPECT_THAT(Exit().reason, HasSubstr("signal 9"));
}

TEST_F(Vm, SharedFileSystem) {
  const std::string shared = directory_ + "/shared";
  ASSERT_EQ(mkdir(shared.c_str(), 0755), 0);
  ASSERT_EQ(unshare(CLONE_NEWNS), 0);
  ASSERT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr), 0);
  // On the file system of the test's directory, since a tmpfs may lack user extended attributes.
  ASSERT_EQ(mount(shared.c_str(), shared.c_str(), nullptr, MS_BIND, nullptr), 0);
  ASSERT_EQ(mount(nullptr, shared.c_str(), nullptr, MS_SHARED, nullptr), 0);
  std::ofstream(shared + "/hello") << "good morning";
  ASSERT_EQ(mkdir((shared + "/later").c_str(), 0755), 0);
  const UniqueFd runtime = Open(directory_, O_PATH | O_DIRECTORY).value();
  auto daemon = StartFileServer(config_.hypervisor, shared, runtime.get());
  ASSERT_TRUE(daemon) << daemon.error().message();
  VmSpec spec = Spec("share");
  spec.shared_fs_socket = std::move(daemon->vmm_socket);
  const auto started = Start(std::move(spec));
  ASSERT_TRUE(started) << started.error().message() << daemon->LogTail();
  ASSERT_EQ(mount("later", (shared + "/later").c_str(), "tmpfs", 0, nullptr), 0);
  std::ofstream(shared + "/later/file") << "x";

  std::string console;
  EXPECT_TRUE(ConsoleShows("hello again"));
  console = driver_->ConsoleTail();
  for (const char* line :
       {"mount: ok", "hello: good morning", "write: ok", "chown: ok", "user.note: ok", "security.capability: ok",
        "security.selinux: Operation not supported", "fifo: ok", "device: ok", "link: ok", "later: ok",
        "a mount of its own: yes", "unmount: ok", "mount again: ok", "hello again: good morning"}) {
    EXPECT_THAT(console, HasSubstr(line)) << daemon->LogTail();
  }
  EXPECT_EQ(Exit().reason, "the guest powered off");
  EXPECT_EQ(ReadFile(shared + "/out").value(), "from the guest");
  struct stat info = {};
  ASSERT_EQ(stat((shared + "/out").c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, 1234U);
  EXPECT_EQ(info.st_gid, 5678U);
  EXPECT_EQ(info.st_mode & 0777U, 0640U);
  EXPECT_EQ(getxattr((shared + "/out").c_str(), "security.capability", nullptr, 0), 20);
  EXPECT_TRUE(daemon->process.Wait());  // exits by itself, since the VMM has ended
}

TEST_F(Vm, FileServerThatCannotServe) {
  const UniqueFd runtime = Open(directory_, O_PATH | O_DIRECTORY).value();
  auto daemon = StartFileServer(config_.hypervisor, directory_ + "/missing", runtime.get());
  ASSERT_TRUE(daemon) << daemon.error().message();
  VmSpec spec = Spec("hang");
  spec.shared_fs_socket = std::move(daemon->vmm_socket);
  const auto started = Start(std::move(spec));
  ASSERT_FALSE(started);
  EXPECT_THAT(started.error().message(), HasSubstr("vhost"));
  ASSERT_TRUE(daemon->process.Wait());
  EXPECT_THAT(daemon->LogTail(), HasSubstr("missing"));
}

TEST_F(Vm, FileServerThatDoesNotAnswerIsNamed) {
  int pair[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
  const UniqueFd never_read(pair[0]);
  VmSpec spec = Spec("hang");
  spec.shared_fs_socket = UniqueFd(pair[1]);
  const auto started = Start(std::move(spec));
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code(), Code::kDeadlineExceeded);
  EXPECT_THAT(started.error().message(), HasSubstr("the file server does not answer, and QEMU waits for it"));
  EXPECT_TRUE(driver_->Pids().empty());
}

TEST_F(Vm, QemuThatDoesNotAnswer) {
  config_.hypervisor.path = directory_ + "/sleeps";
  std::ofstream(config_.hypervisor.path) << "#!/bin/sh\nexec sleep 1000\n";
  ASSERT_EQ(chmod(config_.hypervisor.path.c_str(), 0755), 0);
  ASSERT_EQ(chmod(directory_.c_str(), 0755), 0);
  const auto started = Start("hang");
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code(), Code::kDeadlineExceeded);
  EXPECT_THAT(started.error().message(), HasSubstr("QEMU does not answer: QEMU did not greet within 10 s"));
  EXPECT_TRUE(driver_->Pids().empty());
}

TEST_F(Vm, MissingKernel) {
  config_.hypervisor.kernel = directory_ + "/no-kernel";
  const auto started = Start("hang");
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code(), Code::kNotFound);
  EXPECT_THAT(started.error().message(), HasSubstr("no-kernel"));
  EXPECT_EQ(Exit().reason, "the VM was not started");
}

TEST_F(Vm, AFileThatIsNoKernel) {
  config_.hypervisor.kernel = directory_ + "/text";
  std::ofstream(config_.hypervisor.kernel) << std::string(100000, 'x');
  const auto started = Start("hang");
  ASSERT_FALSE(started);
  EXPECT_THAT(started.error().message(), HasSubstr("QEMU exited with status 1: qemu"));
  EXPECT_THAT(started.error().message(), HasSubstr("kernel"));
}

TEST_F(Vm, MissingQemu) {
  config_.hypervisor.path = "/nonexistent/qemu";
  const auto started = Start("hang");
  ASSERT_FALSE(started);
  EXPECT_THAT(started.error().message(), HasSubstr("/nonexistent/qemu"));
  EXPECT_THAT(started.error().message(), HasSubstr("qemu-system-x86"));
}

TEST_F(Vm, AMachineThatQemuDoesNotKnow) {
  config_.hypervisor.machine_type = "pdp11";
  const auto started = Start("hang");
  ASSERT_FALSE(started);
  EXPECT_THAT(started.error().message(), HasSubstr("unsupported machine type"));
  EXPECT_EQ(Exit().powered_off, false);
}

TEST_F(Vm, RootIsRefused) {
  VmSpec spec = Spec("hang");
  spec.user = {};
  EXPECT_EQ(Start(std::move(spec)).error().code(), Code::kInvalidArgument);
}

// QEMU must not inherit descriptors of the sandbox process.
TEST_F(Vm, QemuHasOnlyItsOwnDescriptors) {
  const UniqueFd secret = Open("/etc/shadow", O_RDONLY).value();
  ASSERT_TRUE(Started("hang"));
  ASSERT_TRUE(ConsoleShows("init: hang")) << driver_->ConsoleTail();
  const std::string directory = fmt::format("/proc/{}/fd", driver_->Pids().at(0));
  const UniqueFd fds = Open(directory, O_RDONLY | O_DIRECTORY).value();
  const auto names = ListDir(fds.get()).value();
  std::map<std::string, int> kinds;
  for (const std::string& name : names) {
    char target[256] = {};
    ASSERT_GT(readlinkat(fds.get(), name.c_str(), target, sizeof target - 1), 0);
    const std::string kind = target;
    // Of its event loop, made by QEMU itself; how many there are depends on its version.
    if (kind == "anon_inode:[eventfd]" || kind == "anon_inode:[eventpoll]" || kind == "anon_inode:[signalfd]") continue;
    ++kinds[kind.substr(0, kind.find(":["))];
  }
  const bool vsock = kinds.contains("/dev/vhost-vsock");
  std::map<std::string, int> expected = {{"/dev/null", 2},  // stdin and stdout
                                         {"/memfd:stderr (deleted)", 1},
                                         {"/memfd:memory-backend-memfd (deleted)", 1},  // the guest's memory
                                         {std::filesystem::canonical(config_.hypervisor.kernel), 1},
                                         {std::filesystem::canonical(config_.hypervisor.initrd), 1},
                                         {config_.hypervisor.entropy_source, 1},
                                         {"socket", vsock ? 2 : 3}};  // QMP, the console, the agent without vsock
  if (vsock) expected["/dev/vhost-vsock"] = 1;
  EXPECT_EQ(kinds, expected);
}

TEST_F(Vm, ParentKilledLeavesNoQemu) {
  int result[2];
  ASSERT_EQ(pipe2(result, O_CLOEXEC), 0);
  const UniqueFd read_end(result[0]);
  UniqueFd write_end(result[1]);
  const pid_t parent = fork();
  ASSERT_GE(parent, 0);
  if (parent == 0) {
    context_.notify_fork(asio::io_context::fork_child);
    const pid_t pid = Start("hang") ? driver_->Pids().at(0) : -1;
    if (write(write_end.get(), &pid, sizeof pid) < 0) _exit(1);
    pause();
    _exit(0);
  }
  write_end.Reset();
  pid_t qemu = -1;
  ASSERT_EQ(read(read_end.get(), &qemu, sizeof qemu), static_cast<ssize_t>(sizeof qemu));
  ASSERT_GT(qemu, 0);
  const UniqueFd pidfd(static_cast<int>(syscall(SYS_pidfd_open, qemu, 0)));
  ASSERT_EQ(kill(parent, SIGKILL), 0);
  ASSERT_EQ(waitpid(parent, nullptr, 0), parent);
  pollfd ended = {pidfd.get(), POLLIN, 0};
  EXPECT_EQ(poll(&ended, 1, 20000), 1);
}

}  // namespace
}  // namespace kata::hypervisor::qemu
