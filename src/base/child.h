// SPDX-License-Identifier: Apache-2.0
// A child process as an owned value: described by a Command, started by Spawn, killed and reaped when its owner goes.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace kata {

// How a process ended. Exactly one of exited and signaled.
struct ExitStatus {
  int code = 0;    // exit(3)'s argument, when signal is 0
  int signal = 0;  // the signal that ended it, or 0
  // The shell's and runc's single number: the code, or 128 + signal.
  int Shell() const { return signal != 0 ? 128 + signal : code; }
  std::string Describe() const;  // "exited with status 1", "was killed by signal 9 (Killed)"
};

// Everything about a child before it exists.
struct Command {
  struct Credentials {
    uid_t uid = 0;
    gid_t gid = 0;
    std::vector<gid_t> groups;
  };

  std::vector<std::string> argv;                // argv[0] is a path, or a name looked up in PATH
  std::string path;                             // the program, when argv[0] is another name for it
  std::optional<std::vector<std::string>> env;  // unset: the parent's
  // Descriptors of the parent given to the child under the numbers 0, 1, 2 (-1: /dev/null) ...
  int stdin_fd = -1;
  int stdout_fd = -1;
  int stderr_fd = -1;
  // ... and these under 3, 4, 5 and so on, in order. All others are closed in the child.
  std::vector<int> extra_fds;
  std::optional<Credentials> credentials;  // set before exec, with no capability left for a uid that is not 0
  bool die_with_parent = true;             // PR_SET_PDEATHSIG SIGKILL, set after the credentials, which clear it
  bool new_session = false;                // setsid(2)
  std::vector<int> join_namespaces;        // setns(2) into each, before the credentials
  bool new_mount_namespace = false;        // unshare(2), a slave of the parent's
  int working_directory = -1;              // fchdir(2) to it
  // The last thing before exec: may make system calls and nothing else. False: errno says why it failed.
  std::function<bool()> before_exec;
};

// The child number of the i-th extra descriptor.
inline int ExtraFdNumber(size_t index) { return 3 + static_cast<int>(index); }

// Those variables of this process's environment that are set, as "NAME=value": for a child that needs no others.
std::vector<std::string> EnvironmentOf(std::initializer_list<const char*> names);

// A running child that belongs to this process. Destroying it kills it (SIGKILL) and reaps it.
class Child {
 public:
  Child() = default;
  Child(pid_t pid, UniqueFd pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}
  Child(Child&& other) noexcept : pid_(std::exchange(other.pid_, -1)), pidfd_(std::move(other.pidfd_)) {}
  Child& operator=(Child&& other) noexcept;
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() { End(); }

  bool running() const { return pid_ > 0; }  // started and not yet reaped
  pid_t pid() const { return pid_; }
  // Readable once the child has ended (pidfd_open(2)); wait for it in the event loop, then call Wait.
  int pidfd() const { return pidfd_.get(); }

  Result<> Signal(int signal) const;
  // Blocks until the end of the child, and reaps it.
  Result<ExitStatus> Wait();
  // Kills and reaps; nothing when it has been reaped.
  void End();
  // Lets it live on without an owner, for a process that is meant to outlive this one.
  pid_t Disown();

 private:
  pid_t pid_ = -1;
  UniqueFd pidfd_;
};

// A descriptor of any process that becomes readable at its end (pidfd_open(2)). kNotFound: there is none with this pid.
Result<UniqueFd> OpenPidfd(pid_t pid);

// Starts a child. An exec that fails is this call's error (with exec's errno), not a child that ends with 127.
// Between fork and exec nothing is allocated.
Result<Child> Spawn(const Command& command);

// How a copy of this process begins.
struct ForkOptions {
  std::vector<int> fds;  // its descriptors by number (-1: /dev/null), close-on-exec from 3 on; no others are left
  int cgroup = -1;       // a directory of cgroup2 to be born into (CLONE_INTO_CGROUP)
  uint64_t flags = 0;    // clone(2)'s CLONE_NEW..., for namespaces of its own
};

// Starts a child that runs body in a copy of this process, with signals as by default, and exits with 1 if body
// returns. This process must have one thread: then body may allocate.
Result<Child> Fork(ForkOptions options, const std::function<void()>& body);

}  // namespace kata
