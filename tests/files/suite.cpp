// SPDX-License-Identifier: Apache-2.0
#include "suite.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <thread>

namespace kata::files {

namespace {

std::string current_area;

}  // namespace

void BeginArea(std::string_view name) { current_area = name; }

void Fact(std::string_view name, std::string_view result) {
  std::string line = current_area + "." + std::string(name) + ": ";
  // What a file system gives back is anything: one line stays one line.
  for (const char c : result) {
    if (c >= ' ' && c < 127) {
      line += c;
    } else {
      char escaped[8];
      snprintf(escaped, sizeof escaped, "\\x%02x", static_cast<unsigned char>(c));
      line += escaped;
    }
  }
  line += "\n";
  // At once and whole: an area may end by a signal, and has children of its own.
  Ignore(write(STDOUT_FILENO, line.data(), line.size()));
}

std::string ErrorName(int number) {
  const char* name = strerrorname_np(number);
  return name != nullptr ? name : "errno " + std::to_string(number);
}

std::string Answer(long value) {
  const int number = errno;
  return value < 0 ? ErrorName(number) : std::to_string(value);
}

void Call(std::string_view name, long value) { Fact(name, Answer(value)); }

void Done(std::string_view name, bool good) {
  const int number = errno;
  Fact(name, good ? "ok" : ErrorName(number));
}

void Is(std::string_view name, bool value) { Fact(name, value ? "yes" : "no"); }

UniqueFd Opened(std::string_view name, int fd) {
  Done(name, fd >= 0);
  return UniqueFd(fd);
}

namespace {

std::string Described(const struct stat& status) {
  const char* type = S_ISREG(status.st_mode)    ? "file"
                     : S_ISDIR(status.st_mode)  ? "dir"
                     : S_ISLNK(status.st_mode)  ? "symlink"
                     : S_ISFIFO(status.st_mode) ? "fifo"
                     : S_ISSOCK(status.st_mode) ? "socket"
                     : S_ISCHR(status.st_mode)  ? "char"
                     : S_ISBLK(status.st_mode)  ? "block"
                                                : "unknown";
  char text[64];
  snprintf(text, sizeof text, "%s %04o %u:%u", type, status.st_mode & 07777, status.st_uid, status.st_gid);
  return text;
}

}  // namespace

std::string Look(const std::string& path) {
  struct stat status = {};
  return lstat(path.c_str(), &status) == 0 ? Described(status) : ErrorName(errno);
}

std::string Look(int fd) {
  struct stat status = {};
  return fstat(fd, &status) == 0 ? Described(status) : ErrorName(errno);
}

struct stat Status(const std::string& path) {
  struct stat status = {};
  if (lstat(path.c_str(), &status) != 0) status = {};
  return status;
}

struct stat Status(int fd) {
  struct stat status = {};
  if (fstat(fd, &status) != 0) status = {};
  return status;
}

std::string Contents(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  return fd ? ContentsAt(fd.get(), 0) : ErrorName(errno);
}

std::string ContentsAt(int fd, off_t offset, size_t size) {
  std::string text(size, '\0');
  const ssize_t count = pread(fd, text.data(), size, offset);
  if (count < 0) return ErrorName(errno);
  text.resize(count);
  return text;
}

void Make(const std::string& path, std::string_view content, mode_t mode, uid_t uid, gid_t gid) {
  const UniqueFd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!content.empty()) Ignore(Write(fd.get(), content));
  Ignore(fchown(fd.get(), uid, gid));
  Ignore(fchmod(fd.get(), mode));  // last: what went before it clears bits
}

void MakeDir(const std::string& path, mode_t mode, uid_t uid, gid_t gid) {
  Ignore(mkdir(path.c_str(), 0700));
  Ignore(chown(path.c_str(), uid, gid));
  Ignore(chmod(path.c_str(), mode));
}

long Write(int fd, std::string_view text) { return write(fd, text.data(), text.size()); }

void Append(const std::string& path, std::string_view text) {
  const UniqueFd fd(open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
  Ignore(Write(fd.get(), text));
}

void As(const Who& who, const std::function<void()>& function) {
  std::thread thread([&] {
    // The system calls themselves: glibc's functions would change all threads.
    prctl(PR_SET_KEEPCAPS, 1);
    bool good = syscall(SYS_setgroups, who.groups.size(), who.groups.data()) == 0 &&
                syscall(SYS_setresgid, who.gid, who.gid, who.gid) == 0 &&
                syscall(SYS_setresuid, who.uid, who.uid, who.uid) == 0;
    __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct data[2] = {};
    for (int i = 0; i < 2; ++i)
      data[i].effective = data[i].permitted = static_cast<uint32_t>(who.capabilities >> (32 * i));
    good = good && syscall(SYS_capset, &header, data) == 0;
    if (good) {
      function();
    } else {
      Fact("credentials", ErrorName(errno));
    }
  });
  thread.join();
}

int InChild(const std::function<int()>& function) {
  const pid_t pid = fork();
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    _exit(function());
  }
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

bool MapIds(pid_t pid) {
  const std::string text = "0 " + std::to_string(kFirstOfNamespace) + " 65536";
  for (const char* map : {"uid_map", "gid_map"}) {
    const UniqueFd fd(open(("/proc/" + std::to_string(pid) + "/" + map).c_str(), O_WRONLY));
    if (Write(fd.get(), text) <= 0) return false;
  }
  return true;
}

void InUserNamespace(const std::function<void()>& function, const std::function<void(pid_t)>& prepare) {
  Steps steps;
  const pid_t pid = fork();
  if (pid == 0) {
    steps.Child();
    if (unshare(CLONE_NEWUSER) != 0) {
      Fact("unshare", ErrorName(errno));
      _exit(1);
    }
    steps.Tell();
    if (!steps.Await() || unshare(CLONE_NEWNS) != 0 || setresgid(0, 0, 0) != 0 || setresuid(0, 0, 0) != 0) {
      Fact("become-root", ErrorName(errno));
      _exit(1);
    }
    function();
    _exit(0);
  }
  steps.Parent();
  if (steps.Await()) {
    if (!MapIds(pid)) Fact("map", ErrorName(errno));
    if (prepare) prepare(pid);
    steps.Tell();
  }
  waitpid(pid, nullptr, 0);
}

void Tick() {
  const timespec time = {0, 12'000'000};
  nanosleep(&time, nullptr);
}

Steps::Steps() {
  for (int i = 0; i < 2; ++i) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) abort();
    read_[i].Reset(ends[0]);
    write_[i].Reset(ends[1]);
  }
}

void Steps::Parent() {
  in_ = read_[0].get(), out_ = write_[1].get();
  write_[0].Reset(), read_[1].Reset();
}

void Steps::Child() {
  in_ = read_[1].get(), out_ = write_[0].get();
  write_[1].Reset(), read_[0].Reset();
}

void Steps::Tell() { Ignore(write(out_, "x", 1)); }

bool Steps::Await() {
  pollfd wait = {in_, POLLIN, 0};
  char byte = 0;
  return poll(&wait, 1, 10'000) == 1 && read(in_, &byte, 1) == 1;
}

}  // namespace kata::files
