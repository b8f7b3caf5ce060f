// SPDX-License-Identifier: Apache-2.0
// As root: each test confines a process of its own.
#include "fsd/confine.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "base/child.h"
#include "base/files.h"

namespace kata::fsd {
namespace {

using ::testing::HasSubstr;

// What the process said that runs body, and how it ended.
struct Outcome {
  std::string text;
  int status = -1;  // of wait(2)
};
Outcome InProcess(const std::function<void(int out)>& body) {
  int out[2];
  EXPECT_EQ(pipe2(out, O_CLOEXEC), 0);
  const pid_t pid = fork();
  if (pid == 0) {
    close(out[0]);
    dup2(out[1], STDERR_FILENO);
    body(out[1]);
    _exit(0);
  }
  close(out[1]);
  const UniqueFd end(out[0]);
  Outcome outcome;
  outcome.text = ReadAll(end.get()).value();
  waitpid(pid, &outcome.status, 0);
  return outcome;
}

bool Put(const std::string& path, const std::string& text) {
  const auto file = Open(path, O_WRONLY | O_CREAT, 0644);
  return file && WriteAll(file->get(), text);
}

void Say(int out, const std::string& text) { (void)WriteAll(out, text + "\n"); }

bool Ended(const Outcome& outcome, int status) {
  return WIFEXITED(outcome.status) && WEXITSTATUS(outcome.status) == status;
}

class ConfineTest : public ::testing::Test {
 protected:
  ConfineTest() {
    directory_ = ::testing::TempDir() + "/confine_XXXXXX";
    EXPECT_NE(mkdtemp(directory_.data()), nullptr);
    shared_ = directory_ + "/shared";
    EXPECT_EQ(mkdir(shared_.c_str(), 0755), 0);
    EXPECT_TRUE(Put(shared_ + "/file", "inside"));
    EXPECT_TRUE(Put(directory_ + "/secret", "outside"));
  }
  ~ConfineTest() override {
    umount2(shared_.c_str(), MNT_DETACH);
    EXPECT_TRUE(RemoveTree(directory_));
  }

  std::string directory_;
  std::string shared_;
};

TEST_F(ConfineTest, TheExitStatusIsPassedOn) {
  const Outcome outcome = InProcess([](int out) {
    RunInNamespaces(out, [](UniqueFd kept) {
      Say(kept.get(), "pid " + std::to_string(getpid()));
      return 7;
    });
  });
  EXPECT_EQ(outcome.text, "pid 1\n");
  EXPECT_TRUE(Ended(outcome, 7)) << outcome.status;
}

TEST_F(ConfineTest, ADeathIsToldAndPassedOn) {
  const Outcome outcome = InProcess([](int out) {
    RunInNamespaces(out, [](UniqueFd) -> int {
      // Its own signals do not end PID 1, unless the kernel forces them.
      (void)FilterSystemCalls();
      (void)socket(AF_INET, SOCK_STREAM, 0);
      return 7;
    });
  });
  EXPECT_THAT(outcome.text, HasSubstr("killed by signal 31"));
  EXPECT_TRUE(Ended(outcome, 128 + SIGSYS)) << outcome.status;
}

TEST_F(ConfineTest, ItDiesWithItsParent) {
  int life[2];
  ASSERT_EQ(pipe2(life, O_CLOEXEC), 0);
  const pid_t pid = fork();
  if (pid == 0) {
    RunInNamespaces(life[1], [](UniqueFd kept) {
      Say(kept.get(), "up");
      for (;;) pause();
      return 0;
    });
  }
  close(life[1]);
  const UniqueFd end(life[0]);
  char text[3] = {};
  ASSERT_EQ(read(end.get(), text, sizeof text), 3);
  kill(pid, SIGKILL);
  waitpid(pid, nullptr, 0);
  // The end of the pipe is that of the child.
  EXPECT_EQ(read(end.get(), text, sizeof text), 0);
}

TEST_F(ConfineTest, NamespacesOfItsOwn) {
  const auto names = [] {
    std::string all;
    for (const char* name : {"mnt", "pid", "net", "ipc", "uts", "cgroup"}) {
      char link[64] = {};
      (void)!readlink((std::string("/proc/self/ns/") + name).c_str(), link, sizeof link - 1);
      all += std::string(link) + "\n";
    }
    return all;
  };
  const std::string here = names();
  const Outcome outcome = InProcess([&](int out) {
    RunInNamespaces(out, [&](UniqueFd kept) {
      (void)WriteAll(kept.get(), names());
      return 0;
    });
  });
  for (size_t start = 0; start < here.size(); start = here.find('\n', start) + 1) {
    const std::string line = here.substr(start, here.find('\n', start) - start);
    EXPECT_THAT(outcome.text, ::testing::Not(HasSubstr(line)));
  }
  EXPECT_THAT(outcome.text, HasSubstr("net:["));
}

// Runs body in the child of RunInNamespaces, with the shared directory as root.
Outcome InRoot(const std::string& shared, const std::function<void(int out, View view)>& body) {
  return InProcess([&](int out) {
    RunInNamespaces(out, [&](UniqueFd kept) {
      auto view = EnterRoot(shared);
      if (!view)
        Say(kept.get(), view.error().message());
      else
        body(kept.get(), *std::move(view));
      return 0;
    });
  });
}

TEST_F(ConfineTest, NothingButTheSharedDirectoryIsThere) {
  const Outcome outcome = InRoot(shared_, [&](int out, View view) {
    Say(out, ReadFile("/file").value_or("none"));
    Say(out, ReadFile("file").value_or("none"));
    for (const char* path : {"/../secret", "../secret", "/etc/passwd", "/proc/self/status"}) {
      Say(out, ReadFile(path).value_or("none"));
    }
    Say(out, ReadFile(directory_ + "/secret").value_or("none"));
    const UniqueFd above(openat(view.root.get(), "../secret", O_RDONLY));
    Say(out, above ? "above" : "none");
  });
  EXPECT_EQ(outcome.text, "inside\ninside\nnone\nnone\nnone\nnone\nnone\nnone\n");
}

TEST_F(ConfineTest, ItsOwnDescriptorsCanBeOpenedAgain) {
  const Outcome outcome = InRoot(shared_, [&](int out, View view) {
    const UniqueFd place(openat(view.root.get(), "file", O_PATH | O_NOFOLLOW | O_CLOEXEC));
    const UniqueFd file(
        openat(view.proc_self.get(), ("fd/" + std::to_string(place.get())).c_str(), O_RDWR | O_CLOEXEC));
    Say(out, file ? ReadAll(file.get()).value() : ErrnoText(errno));
    // What is above shows this process, and nothing of the host.
    for (const char* path : {"../sys", "../../etc", "../2"}) {
      const UniqueFd fd(openat(view.proc_self.get(), path, O_PATH | O_CLOEXEC));
      Say(out, fd ? "there" : "none");
    }
  });
  EXPECT_EQ(outcome.text, "inside\nnone\nnone\nnone\n");
}

TEST_F(ConfineTest, MountsThatAreMadeLaterAppear) {
  // In a mount namespace of the test's own, as the sandbox process has it.
  const Outcome outcome = InProcess([&](int out) {
    if (unshare(CLONE_NEWNS) != 0 || mount(nullptr, "/", nullptr, MS_SLAVE | MS_REC, nullptr) != 0 ||
        mount("tmpfs", shared_.c_str(), "tmpfs", 0, "") != 0 ||
        mount(nullptr, shared_.c_str(), nullptr, MS_SHARED, nullptr) != 0 ||
        mkdir((shared_ + "/a").c_str(), 0755) != 0 || mkdir((shared_ + "/b").c_str(), 0755) != 0 ||
        mount("tmpfs", (shared_ + "/b").c_str(), "tmpfs", 0, "") != 0) {
      Say(out, "cannot mount");
      return;
    }
    const pid_t server = fork();
    if (server == 0) {
      // Another process mounts meanwhile, and passes on what is said.
      int pair[2];
      if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) _exit(1);
      const pid_t helper = fork();
      if (helper == 0) {
        close(pair[1]);
        char byte = 0;
        (void)!read(pair[0], &byte, 1);  // it has entered its root
        (void)mount("tmpfs", (shared_ + "/a").c_str(), "tmpfs", 0, "");
        (void)Put(shared_ + "/a/late", "late");
        (void)umount2((shared_ + "/b").c_str(), MNT_DETACH);
        (void)!write(pair[0], "x", 1);
        std::string text = ReadAll(pair[0]).value_or("nothing");
        (void)WriteAll(out, text);
        _exit(0);
      }
      close(pair[0]);
      RunInNamespaces(pair[1], [&](UniqueFd kept) {
        auto view = EnterRoot(shared_);
        if (!view) Say(kept.get(), view.error().message());
        (void)!write(kept.get(), "x", 1);
        char byte = 0;
        (void)!read(kept.get(), &byte, 1);
        Say(kept.get(), ReadFile("/a/late").value_or("none"));
        struct stat root = {};
        struct stat b = {};
        Say(kept.get(), stat("/", &root) == 0 && stat("/b", &b) == 0 && root.st_dev == b.st_dev ? "gone" : "there");
        return 0;
      });
    }
    waitpid(server, nullptr, 0);
  });
  EXPECT_EQ(outcome.text, "late\ngone\n");
}

TEST_F(ConfineTest, AMissingDirectory) {
  const Outcome outcome = InRoot(directory_ + "/none", [](int, View) {});
  EXPECT_THAT(outcome.text, HasSubstr("/none"));
}

TEST_F(ConfineTest, Capabilities) {
  const Outcome outcome = InProcess([](int out) {
    const auto dropped = DropCapabilities();
    if (!dropped) Say(out, dropped.error().message());
    (void)WriteAll(out, ReadFile("/proc/self/status").value());
    Say(out, "mount " + ErrnoText(mount("none", "/", "tmpfs", 0, "") == 0 ? 0 : errno));
  });
  EXPECT_THAT(outcome.text, HasSubstr("CapInh:\t0000000000000000"));
  EXPECT_THAT(outcome.text, HasSubstr("CapPrm:\t00000000880000df"));
  EXPECT_THAT(outcome.text, HasSubstr("CapEff:\t00000000880000df"));
  EXPECT_THAT(outcome.text, HasSubstr("CapBnd:\t0000000000000000"));
  EXPECT_THAT(outcome.text, HasSubstr("CapAmb:\t0000000000000000"));
  EXPECT_THAT(outcome.text, HasSubstr("NoNewPrivs:\t1"));
  EXPECT_THAT(outcome.text, HasSubstr("mount Operation not permitted"));
}

TEST_F(ConfineTest, CapabilitiesThatAreMissingAreNoError) {
  const Outcome outcome = InProcess([](int out) {
    __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    const __user_cap_data_struct few[2] = {{1U << CAP_CHOWN, (1U << CAP_CHOWN) | (1U << CAP_SYS_ADMIN), 0}, {}};
    (void)syscall(SYS_capset, &header, few);
    Say(out, DropCapabilities() ? "good" : "bad");
    (void)WriteAll(out, ReadFile("/proc/self/status").value());
  });
  EXPECT_THAT(outcome.text, HasSubstr("good"));
  EXPECT_THAT(outcome.text, HasSubstr("CapPrm:\t0000000000000001"));
}

// _exit(2) without what sanitizers do before it, which is not allowed any more.
void Exit(int status) { syscall(SYS_exit_group, status); }

// Of a process with the filter, or of a thread that was there before it.
bool KilledBy(const std::function<void()>& body, bool in_thread = false) {
  const Outcome outcome = InProcess([&](int) {
    // A sanitizer's beginning of a thread needs more system calls.
    std::atomic<bool> begun = !in_thread;
    std::atomic<bool> filtered = false;
    std::thread thread;
    if (in_thread) {
      thread = std::thread([&] {
        begun = true;
        while (!filtered) sched_yield();
        body();
        Exit(0);
      });
    }
    while (!begun) sched_yield();
    if (!FilterSystemCalls()) Exit(9);
    filtered = true;
    if (in_thread)
      thread.join();
    else
      body();
    Exit(0);
  });
  EXPECT_TRUE(WIFSIGNALED(outcome.status) || Ended(outcome, 0)) << outcome.status;
  return WIFSIGNALED(outcome.status) && WTERMSIG(outcome.status) == SIGSYS;
}

TEST_F(ConfineTest, SystemCallsThatAreNotNeededKill) {
  EXPECT_FALSE(KilledBy([] {}));
  EXPECT_FALSE(KilledBy([] { (void)getpid(); }, true));
  for (const bool in_thread : {false, true}) {
    EXPECT_TRUE(KilledBy([] { (void)socket(AF_INET, SOCK_STREAM, 0); }, in_thread));
  }
  EXPECT_TRUE(KilledBy([] { (void)fork(); }));
  EXPECT_TRUE(KilledBy([] { (void)execl("/bin/true", "true", nullptr); }));
  EXPECT_TRUE(KilledBy([] { (void)kill(1, 0); }));
  EXPECT_TRUE(KilledBy([] { (void)mount("none", "/", "tmpfs", 0, ""); }));
  EXPECT_TRUE(KilledBy([] { (void)unshare(CLONE_NEWUSER); }));
  EXPECT_TRUE(KilledBy([] { (void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); }));
}

TEST_F(ConfineTest, ArgumentsThatAreNotNeededKill) {
  const auto map = [](int protection) { (void)mmap(nullptr, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); };
  EXPECT_FALSE(KilledBy([&] { map(PROT_READ | PROT_WRITE); }));
  EXPECT_TRUE(KilledBy([&] { map(PROT_READ | PROT_EXEC); }));
  long flags = 0;
  EXPECT_FALSE(KilledBy([&] { (void)ioctl(0, FS_IOC_GETFLAGS, &flags); }));
  EXPECT_TRUE(KilledBy([&] { (void)ioctl(0, TIOCSTI, &flags); }));
}

TEST_F(ConfineTest, FilesWorkAsBefore) {
  EXPECT_FALSE(KilledBy([&] {
    const UniqueFd file(open((shared_ + "/new").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600));
    if (write(file.get(), "x", 1) != 1 || fsync(file.get()) != 0 || fallocate(file.get(), 0, 0, 4096) != 0) Exit(1);
    struct statx status = {};
    if (statx(file.get(), "", AT_EMPTY_PATH, STATX_ALL, &status) != 0) Exit(1);
    std::string text(10 << 20, 'x');
    text.clear();
    text.shrink_to_fit();
  }));
}

}  // namespace
}  // namespace kata::fsd
