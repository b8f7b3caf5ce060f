// SPDX-License-Identifier: Apache-2.0
// flock, fcntl's locks of processes and of open files, between two processes; by two mounts where there are two.
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>

#include "areas.h"

namespace kata::files {
namespace {

struct flock Range(short type, off_t start = 0, off_t length = 0) {
  struct flock lock = {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = start;
  lock.l_len = length;
  return lock;
}

long Lock(int fd, int command, short type, off_t start = 0, off_t length = 0) {
  struct flock lock = Range(type, start, length);
  return fcntl(fd, command, &lock);
}

void Flock(const Place& place) {
  Make("flock");
  const std::string there = place.there + "/flock";
  UniqueFd first(open("flock", O_RDWR));
  const UniqueFd second(open(there.c_str(), O_RDWR));
  Call("flock-exclusive", flock(first.get(), LOCK_EX | LOCK_NB));
  Call("flock-exclusive-second", flock(second.get(), LOCK_EX | LOCK_NB));
  Call("flock-shared-second", flock(second.get(), LOCK_SH | LOCK_NB));
  Call("flock-downgrade", flock(first.get(), LOCK_SH | LOCK_NB));
  Call("flock-shared-both", flock(second.get(), LOCK_SH | LOCK_NB));
  Call("flock-upgrade-refused", flock(first.get(), LOCK_EX | LOCK_NB));
  Ignore(flock(first.get(), LOCK_UN));
  Ignore(flock(second.get(), LOCK_UN));
  Ignore(flock(first.get(), LOCK_EX));
  {
    const UniqueFd duplicate(dup(first.get()));
    first.Reset();
    Call("flock-kept-by-duplicate", flock(second.get(), LOCK_EX | LOCK_NB));
  }
  Call("flock-released-by-close", flock(second.get(), LOCK_EX | LOCK_NB));
  Ignore(flock(second.get(), LOCK_UN));
  const UniqueFd read_only(open("flock", O_RDONLY));
  Call("flock-exclusive-read-only", flock(read_only.get(), LOCK_EX | LOCK_NB));
  const int child = InChild([&] {
    const UniqueFd fd(open(there.c_str(), O_RDWR));
    return flock(fd.get(), LOCK_EX | LOCK_NB) == 0 ? 0 : errno;
  });
  Fact("flock-between-processes", child == 0 ? "0" : ErrorName(child));
  MakeDir("dir");
  const UniqueFd dir(open("dir", O_RDONLY)), dir2(open((place.there + "/dir").c_str(), O_RDONLY));
  Call("flock-dir", flock(dir.get(), LOCK_EX | LOCK_NB));
  Call("flock-dir-second", flock(dir2.get(), LOCK_EX | LOCK_NB));
  const UniqueFd path(open("flock", O_PATH));
  Call("flock-path-fd", flock(path.get(), LOCK_EX | LOCK_NB));
}

void OfProcesses(const Place& place) {
  Make("posix", std::string(100, 'p'));
  const std::string there = place.there + "/posix";
  UniqueFd fd(open("posix", O_RDWR));
  // What another process gets, which asks by the second mount.
  const auto ask = [&](const char* name, short type, off_t start, off_t length) {
    const int error = InChild([&] {
      const UniqueFd other(open(there.c_str(), O_RDWR));
      return Lock(other.get(), F_SETLK, type, start, length) == 0 ? 0 : errno;
    });
    Fact(name, error == 0 ? "0" : ErrorName(error));
  };
  Call("posix-write", Lock(fd.get(), F_SETLK, F_WRLCK, 10, 20));
  ask("posix-write-same-range", F_WRLCK, 10, 20);
  ask("posix-read-same-range", F_RDLCK, 15, 1);
  ask("posix-write-before", F_WRLCK, 0, 10);
  ask("posix-write-after", F_WRLCK, 30, 0);
  InChild([&] {
    const UniqueFd other(open(there.c_str(), O_RDWR));
    struct flock lock = Range(F_WRLCK);
    Call("posix-getlk", fcntl(other.get(), F_GETLK, &lock));
    Fact("posix-getlk-type", lock.l_type == F_WRLCK ? "write" : lock.l_type == F_RDLCK ? "read" : "none");
    Fact("posix-getlk-range", std::to_string(lock.l_start) + "+" + std::to_string(lock.l_len));
    Is("posix-getlk-pid", lock.l_pid == getppid());
    return 0;
  });
  Call("posix-split", Lock(fd.get(), F_SETLK, F_UNLCK, 15, 5));
  ask("posix-split-hole", F_WRLCK, 15, 5);
  ask("posix-split-rest", F_WRLCK, 20, 1);
  // The trap of POSIX: any close of the file by the process gives up all its locks.
  { const UniqueFd another(open("posix", O_RDONLY)); }
  ask("posix-released-by-any-close", F_WRLCK, 10, 20);
  Call("posix-read", Lock(fd.get(), F_SETLK, F_RDLCK));
  ask("posix-read-read", F_RDLCK, 0, 0);
  ask("posix-read-write", F_WRLCK, 0, 0);
  const UniqueFd read_only(open("posix", O_RDONLY));
  Call("posix-write-on-read-only-fd", Lock(read_only.get(), F_SETLK, F_WRLCK));
  const UniqueFd write_only(open("posix", O_WRONLY));
  Call("posix-read-on-write-only-fd", Lock(write_only.get(), F_SETLK, F_RDLCK));
  Call("posix-negative-length", Lock(fd.get(), F_SETLK, F_WRLCK, 10, -5));
  Call("posix-before-start", Lock(fd.get(), F_SETLK, F_WRLCK, 2, -5));
  Call("posix-and-flock", flock(fd.get(), LOCK_EX | LOCK_NB));
}

void OfOpenFiles(const Place& place) {
  Make("ofd", "text");
  UniqueFd first(open("ofd", O_RDWR));
  const UniqueFd second(open((place.there + "/ofd").c_str(), O_RDWR));
  Call("ofd-write", Lock(first.get(), F_OFD_SETLK, F_WRLCK));
  Call("ofd-write-second", Lock(second.get(), F_OFD_SETLK, F_WRLCK));
  struct flock lock = Range(F_WRLCK);
  Call("ofd-getlk", fcntl(second.get(), F_OFD_GETLK, &lock));
  Fact("ofd-getlk-pid", std::to_string(lock.l_pid));
  { const UniqueFd another(open("ofd", O_RDONLY)); }
  Call("ofd-kept-by-other-close", Lock(second.get(), F_OFD_SETLK, F_WRLCK));
  first.Reset();
  Call("ofd-released-by-close", Lock(second.get(), F_OFD_SETLK, F_WRLCK));
}

void OnSignal(int) {}

// One waits; the other gives up the lock, or a signal ends the wait.
void Waiting(const Place& place) {
  Make("wait", "text");
  const std::string there = place.there + "/wait";
  const auto wait_for = [&](const char* name, const std::function<long(int)>& take,
                            const std::function<long(int)>& release, bool interrupt) {
    UniqueFd fd(open("wait", O_RDWR));
    const bool taken = take(fd.get()) == 0;
    Steps steps;
    const pid_t pid = fork();
    if (pid == 0) {
      steps.Child();
      fd.Reset();
      struct sigaction action = {};
      action.sa_handler = OnSignal;
      sigaction(SIGALRM, &action, nullptr);
      if (interrupt) {
        const itimerval delay = {{0, 50000}, {0, 50000}};  // again, should the first come before the wait
        setitimer(ITIMER_REAL, &delay, nullptr);
      }
      const UniqueFd other(open(there.c_str(), O_RDWR));
      steps.Tell();
      const long result = take(other.get());
      const int error = errno;
      steps.Tell();
      _exit(result == 0 ? 0 : error);
    }
    steps.Parent();
    steps.Await();
    if (!interrupt) {
      Tick();
      release(fd.get());
    }
    const bool ended = steps.Await();
    int status = 0;
    waitpid(pid, &status, 0);
    const int error = WIFEXITED(status) ? WEXITSTATUS(status) : EIO;
    Fact(name, !taken ? "not taken" : !ended ? "never" : error == 0 ? "0" : ErrorName(error));
  };
  const auto flock_take = [](int fd) { return static_cast<long>(flock(fd, LOCK_EX)); };
  const auto flock_release = [](int fd) { return static_cast<long>(flock(fd, LOCK_UN)); };
  const auto posix_take = [](int fd) { return Lock(fd, F_SETLKW, F_WRLCK); };
  const auto posix_release = [](int fd) { return Lock(fd, F_SETLK, F_UNLCK); };
  wait_for("wait-flock-released", flock_take, flock_release, false);
  wait_for("wait-flock-interrupted", flock_take, flock_release, true);
  wait_for("wait-posix-released", posix_take, posix_release, false);
  wait_for("wait-posix-interrupted", posix_take, posix_release, true);
}

// Each has one of two ranges and wants the other: the kernel sees it, and refuses the second.
void Deadlock(const Place& place) {
  Make("deadlock", "text");
  const UniqueFd fd(open("deadlock", O_RDWR));
  Ignore(Lock(fd.get(), F_SETLK, F_WRLCK, 0, 1));
  Steps steps;
  const pid_t pid = fork();
  if (pid == 0) {
    steps.Child();
    const UniqueFd other(open((place.there + "/deadlock").c_str(), O_RDWR));
    Ignore(Lock(other.get(), F_SETLK, F_WRLCK, 1, 1));
    steps.Tell();
    const int error = Lock(other.get(), F_SETLKW, F_WRLCK, 0, 1) == 0 ? 0 : errno;
    _exit(error);
  }
  steps.Parent();
  steps.Await();
  const timespec moment = {0, 100'000'000};  // until it waits
  nanosleep(&moment, nullptr);
  Call("deadlock", Lock(fd.get(), F_SETLKW, F_WRLCK, 1, 1));
  Ignore(Lock(fd.get(), F_SETLK, F_UNLCK));
  waitpid(pid, nullptr, 0);
}

}  // namespace

void Locks(const Place& place) {
  Flock(place);
  OfProcesses(place);
  OfOpenFiles(place);
  Waiting(place);
  Deadlock(place);
}

void Leases(const Place&) {
  Make("lease", "text", 0644, 1000, 1000);
  signal(SIGIO, SIG_IGN);
  {
    const UniqueFd fd(open("lease", O_RDONLY));
    Call("read", fcntl(fd.get(), F_SETLEASE, F_RDLCK));
    Call("get", fcntl(fd.get(), F_GETLEASE));
    Opened("open-for-reading", open("lease", O_RDONLY | O_NONBLOCK));
    Opened("open-for-writing", open("lease", O_WRONLY | O_NONBLOCK));
    Call("get-while-broken", fcntl(fd.get(), F_GETLEASE));
    Call("unlock", fcntl(fd.get(), F_SETLEASE, F_UNLCK));
  }
  {
    const UniqueFd fd(open("lease", O_RDWR));
    Call("write", fcntl(fd.get(), F_SETLEASE, F_WRLCK));
    Opened("write-open-for-reading", open("lease", O_RDONLY | O_NONBLOCK));
    Call("write-unlock", fcntl(fd.get(), F_SETLEASE, F_UNLCK));
    const UniqueFd second(open("lease", O_RDONLY));
    Call("write-open-twice", fcntl(fd.get(), F_SETLEASE, F_WRLCK));
  }
  As({}, [] {
    const UniqueFd fd(open("lease", O_RDONLY));
    Call("owner", fcntl(fd.get(), F_SETLEASE, F_RDLCK));
  });
  As({.uid = 1001, .gid = 1001}, [] {
    const UniqueFd fd(open("lease", O_RDONLY));
    Call("other", fcntl(fd.get(), F_SETLEASE, F_RDLCK));
  });
  MakeDir("dir");
  const UniqueFd dir(open("dir", O_RDONLY));
  Call("dir", fcntl(dir.get(), F_SETLEASE, F_RDLCK));
  Call("dnotify", fcntl(dir.get(), F_NOTIFY, DN_CREATE));
  Call("owner-signal", fcntl(dir.get(), F_SETOWN, getpid()));
}

}  // namespace kata::files
