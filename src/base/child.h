// SPDX-License-Identifier: Apache-2.0
// A child process as an owned value: a Command describes it, Spawn starts it, and its destructor kills and reaps it.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/security_module.h"
#include "base/unique_fd.h"

namespace kata {

// How a process ended: it exited, or a signal killed it (wait(2)).
struct ExitStatus {
  int code = 0;    // the exit status; valid when signal is 0
  int signal = 0;  // the signal that killed the process, or 0
  // One number for both cases, as shells and runc report it: the code, or 128 + signal.
  int Shell() const { return signal != 0 ? 128 + signal : code; }
  std::string Describe() const;  // "exited with status 1", "was killed by signal 9 (Killed)"
  // "exit status 1", "signal: killed": in the words of runc and other programs in Go.
  std::string DescribeAsGo() const;
};

// How to start a child process.
struct Command {
  struct Credentials {
    uid_t uid = 0;
    gid_t gid = 0;
    std::optional<std::vector<gid_t>> groups;  // unset: the parent's
  };

  std::vector<std::string> argv;                // argv[0] is a path, or a name looked up in PATH
  std::string path;                             // the program to execute, if not argv[0]; looked up in the same way
  std::optional<std::vector<std::string>> env;  // unset: the parent's environment
  // Descriptors of the parent that become the child's 0, 1 and 2 (-1: /dev/null). The caller keeps them.
  int stdin_fd = -1;
  int stdout_fd = -1;
  int stderr_fd = -1;
  // Descriptors of the parent that become the child's 3, 4, 5 and so on. The child inherits no others.
  std::vector<int> extra_fds;
  std::optional<Credentials> credentials;  // set before exec; whoever that is, it has no capabilities
  bool die_with_parent = true;             // PR_SET_PDEATHSIG SIGKILL; set after the credentials, which clear it
  bool new_session = false;                // setsid(2)
  std::vector<int> join_namespaces;        // setns(2) into each, in order, before the credentials are set
  bool new_mount_namespace = false;        // unshare(2) CLONE_NEWNS, with mounts as slaves of the parent's
  bool new_pid_namespace = false;          // it is process 1 of one; not with die_with_parent
  int working_directory = -1;              // fchdir(2) to this directory; -1: the parent's
  std::vector<ExecLabel> labels;           // for the kernel's security modules; one that is refused makes Spawn fail
  // Runs in the child right before exec. It may only make system calls (no allocation). It returns false and sets errno
  // to make Spawn fail.
  std::function<bool()> before_exec;
};

// The number that extra_fds[index] has in the child.
inline int ExtraFdNumber(size_t index) { return 3 + static_cast<int>(index); }

// The variables with these names that this process's environment has, as "NAME=value", for Command::env.
std::vector<std::string> EnvironmentOf(std::initializer_list<const char*> names);

// Owns a running child of this process. The destructor kills the child (SIGKILL) and reaps it.
class Child {
 public:
  Child() = default;
  Child(pid_t pid, UniqueFd pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}
  Child(Child&& other) noexcept : pid_(std::exchange(other.pid_, -1)), pidfd_(std::move(other.pidfd_)) {}
  Child& operator=(Child&& other) noexcept;
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() { End(); }

  bool running() const { return pid_ > 0; }  // started, and not yet reaped or disowned
  pid_t pid() const { return pid_; }
  // Becomes readable when the child ends (pidfd_open(2)): wait for that in the event loop, then call Wait. Child owns
  // it.
  int pidfd() const { return pidfd_.get(); }

  Result<> Signal(int signal) const;
  // Blocks until the child ends, and reaps it. Fails with ECHILD when it was reaped before.
  Result<ExitStatus> Wait();
  // Kills (SIGKILL) and reaps the child. Does nothing when it was reaped before.
  void End();
  // Gives up ownership and returns the pid, for a child that is meant to outlive this process.
  pid_t Disown();

 private:
  pid_t pid_ = -1;
  UniqueFd pidfd_;
};

// A descriptor that becomes readable when the process ends (pidfd_open(2)), for any process, not only for children.
// kNotFound: no process has this pid.
Result<UniqueFd> OpenPidfd(pid_t pid);

// Starts a child. Returns after exec has succeeded: a failure before or in exec is this call's error, with its errno.
// The child allocates nothing between fork and exec, so the caller may have threads.
Result<Child> Spawn(const Command& command);

// Options of Fork.
struct ForkOptions {
  std::vector<int> fds;  // fds[i] becomes descriptor i (-1: /dev/null), close-on-exec from 3 on; others are closed
  int cgroup = -1;       // a cgroup v2 directory in which the child starts (CLONE_INTO_CGROUP); -1: the parent's
  uint64_t flags = 0;    // CLONE_NEW... flags of clone(2), for new namespaces
};

// Forks without exec: the child runs body with default signal handling and an empty signal mask, and exits with 1 if
// body returns. The calling process must have only one thread, since body may allocate.
Result<Child> Fork(ForkOptions options, const std::function<void()>& body);

}  // namespace kata
