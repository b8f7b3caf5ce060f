// SPDX-License-Identifier: Apache-2.0
#include "base/child.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>

namespace kata {
namespace {

// Everything the child needs, prepared before clone3, since the child must not allocate memory before exec.
struct Prepared {
  std::vector<char*> argv;
  std::vector<char*> env;
  std::vector<int> fds;  // fds[i] becomes the child's descriptor i; the last one is the error pipe
  const Command* command = nullptr;
  std::string path;
  pid_t parent = 0;
};

enum Step : int { kDescriptors, kNamespace, kDirectory, kCredentials, kBeforeExec, kLabels, kExec };

struct Failure {
  Step step;
  int sys;
};

const char* NameOf(Step step) {
  switch (step) {
    case kDescriptors:
      return "cannot pass its descriptors";
    case kNamespace:
      return "cannot enter a namespace";
    case kDirectory:
      return "cannot change the working directory";
    case kCredentials:
      return "cannot change the user";
    case kBeforeExec:
      return "cannot prepare it";
    case kLabels:
      return "cannot give it its AppArmor profile or SELinux label";
    case kExec:
      break;
  }
  return "cannot execute it";
}

std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  pointers.reserve(strings.size() + 1);
  for (const std::string& s : strings) pointers.push_back(const_cast<char*>(s.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

Result<std::string> FindExecutable(const std::string& name) {
  if (name.find('/') != std::string::npos) return name;
  const char* path = getenv("PATH");
  std::string_view rest = path != nullptr ? path : "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  while (!rest.empty()) {
    const size_t colon = std::min(rest.find(':'), rest.size());
    const std::string candidate = fmt::format("{}/{}", rest.substr(0, colon), name);
    if (access(candidate.c_str(), X_OK) == 0) return candidate;
    rest.remove_prefix(std::min(colon + 1, rest.size()));
  }
  return Fail(Code::kNotFound, "{}: not found in PATH", name);
}

[[noreturn]] void GiveUp(int error_fd, Step step) {
  const Failure failure{step, errno};
  [[maybe_unused]] const ssize_t ignored = write(error_fd, &failure, sizeof failure);
  _exit(127);
}

// Moves fds[i] to the number i. The first `inherited` of them lose close-on-exec, which is cleared nowhere else. All
// descriptors are first duplicated above the target numbers, so that no dup3 overwrites one that is still to be moved.
bool PublishDescriptors(std::vector<int>& fds, int inherited) {
  const auto count = static_cast<int>(fds.size());
  for (int& fd : fds) {
    fd = fcntl(fd, F_DUPFD_CLOEXEC, count);
    if (fd < 0) return false;
  }
  for (int i = 0; i < count; ++i) {
    if (dup3(fds[static_cast<size_t>(i)], i, i < inherited ? 0 : O_CLOEXEC) < 0) return false;
  }
  // Older kernels and seccomp filters may refuse close_range. That does not matter before an exec: all other
  // descriptors are close-on-exec.
  syscall(SYS_close_range, static_cast<unsigned>(count), ~0U, 0);
  return true;
}

// The child must not inherit ignored or blocked signals from the parent.
void ResetSignals() {
  sigset_t none;
  sigemptyset(&none);
  for (int signal = 1; signal < NSIG; ++signal) ::signal(signal, SIG_DFL);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

// For root of a user namespace, to whom the exec would give all capabilities of the bounding set.
bool GiveUpCapabilities() {
  for (unsigned capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; ++capability) {
    if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0) return false;
  }
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[2] = {};
  return syscall(SYS_capset, &header, none) == 0;
}

// What the kernel does not take must not be run without it.
bool SetLabels(const std::vector<ExecLabel>& labels) {
  for (const ExecLabel& label : labels) {
    const int fd = open(label.file.c_str(), O_WRONLY | O_CLOEXEC);
    if (fd < 0) return false;
    const ssize_t written = write(fd, label.line.data(), label.line.size());
    if (written < 0) return false;
    if (static_cast<size_t>(written) != label.line.size()) {
      errno = EIO;
      return false;
    }
    close(fd);
  }
  return true;
}

// clone3 instead of fork, because it returns a pidfd atomically: the pid cannot be reused before the pidfd is opened.
pid_t CloneWithPidfd(int* pidfd, uint64_t flags = 0, int cgroup = -1) {
  clone_args args{};
  args.flags = CLONE_PIDFD | flags | (cgroup >= 0 ? CLONE_INTO_CGROUP : 0);
  args.cgroup = static_cast<uint64_t>(cgroup);
  args.pidfd = reinterpret_cast<uint64_t>(pidfd);
  args.exit_signal = SIGCHLD;
  return static_cast<pid_t>(syscall(SYS_clone3, &args, sizeof args));
}

[[noreturn]] void RunChild(Prepared& prepared) {
  const Command& command = *prepared.command;
  int error_fd = prepared.fds.back();
  ResetSignals();
  for (const int ns : command.join_namespaces) {
    if (setns(ns, 0) != 0) GiveUp(error_fd, kNamespace);
  }
  if (command.new_mount_namespace &&
      (unshare(CLONE_NEWNS) != 0 || mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0)) {
    GiveUp(error_fd, kNamespace);
  }
  if (command.working_directory >= 0 && fchdir(command.working_directory) != 0) GiveUp(error_fd, kDirectory);
  const int last = static_cast<int>(prepared.fds.size()) - 1;
  if (!PublishDescriptors(prepared.fds, last)) GiveUp(error_fd, kDescriptors);
  error_fd = last;
  if (command.new_session) setsid();
  if (command.credentials) {
    const Command::Credentials& user = *command.credentials;
    if ((user.groups && setgroups(user.groups->size(), user.groups->data()) != 0) ||
        setresgid(user.gid, user.gid, user.gid) != 0 || setresuid(user.uid, user.uid, user.uid) != 0 ||
        (user.uid == 0 && !GiveUpCapabilities())) {
      GiveUp(error_fd, kCredentials);
    }
  }
  if (command.die_with_parent) {
    // After the credentials, because changing them clears the setting. The parent may have died before this call, and
    // then the kernel would not send the signal: compare the parent's pid.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != prepared.parent) _exit(127);
  }
  if (command.before_exec && !command.before_exec()) GiveUp(error_fd, kBeforeExec);
  // The last, since it holds for the next exec, whatever is executed.
  if (!SetLabels(command.labels)) GiveUp(error_fd, kLabels);
  execve(prepared.path.c_str(), prepared.argv.data(), prepared.env.empty() ? environ : prepared.env.data());
  GiveUp(error_fd, kExec);
}

Result<UniqueFd> OpenNull() {
  UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null) return FailErrno("cannot open /dev/null");
  return null;
}

}  // namespace

std::string ExitStatus::Describe() const {
  if (signal == 0) return fmt::format("exited with status {}", code);
  const char* name = sigdescr_np(signal);
  return fmt::format("was killed by signal {} ({})", signal, name != nullptr ? name : "unknown");
}

std::string ExitStatus::DescribeAsGo() const {
  if (signal == 0) return fmt::format("exit status {}", code);
  const char* name = sigdescr_np(signal);
  std::string words = fmt::format("signal: {}", name != nullptr ? name : std::to_string(signal));
  std::transform(words.begin(), words.end(), words.begin(), [](unsigned char c) { return std::tolower(c); });
  return words;
}

Child& Child::operator=(Child&& other) noexcept {
  if (this != &other) {
    End();
    pid_ = std::exchange(other.pid_, -1);
    pidfd_ = std::move(other.pidfd_);
  }
  return *this;
}

Result<> Child::Signal(int signal) const {
  if (!running()) return FailWith(ESRCH, "cannot send signal {}", signal);
  if (syscall(SYS_pidfd_send_signal, pidfd_.get(), signal, nullptr, 0) != 0) {
    return FailErrno("cannot send signal {} to process {}", signal, pid_);
  }
  return {};
}

Result<ExitStatus> Child::Wait() {
  if (!running()) return FailWith(ECHILD, "the process has been reaped");
  siginfo_t info{};
  while (waitid(P_PIDFD, static_cast<id_t>(pidfd_.get()), &info, WEXITED) != 0) {
    // If an event loop watches a duplicate of the pidfd, it has made the pidfd non-blocking, and waitid(2) honours
    // that.
    if (errno == EAGAIN) {
      pollfd ended = {pidfd_.get(), POLLIN, 0};
      poll(&ended, 1, -1);
    } else if (errno != EINTR) {
      return FailErrno("cannot wait for process {}", pid_);
    }
  }
  pid_ = -1;
  pidfd_.Reset();
  ExitStatus status;
  (info.si_code == CLD_EXITED ? status.code : status.signal) = info.si_status;
  return status;
}

void Child::End() {
  if (!running()) return;
  (void)Signal(SIGKILL);
  (void)Wait();
}

pid_t Child::Disown() {
  pidfd_.Reset();
  return std::exchange(pid_, -1);
}

std::vector<std::string> EnvironmentOf(std::initializer_list<const char*> names) {
  std::vector<std::string> variables;
  for (const char* name : names) {
    if (const char* value = getenv(name); value != nullptr) variables.push_back(fmt::format("{}={}", name, value));
  }
  return variables;
}

Result<UniqueFd> OpenPidfd(pid_t pid) {
  UniqueFd pidfd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!pidfd) return FailErrno("cannot watch process {}", pid);
  return pidfd;
}

Result<Child> Spawn(const Command& command) {
  if (command.argv.empty()) return Fail(Code::kInvalidArgument, "cannot start a program without a name");
  const std::string& name = command.path.empty() ? command.argv.front() : command.path;
  Prepared prepared;
  prepared.command = &command;
  prepared.path = TRY(Context(FindExecutable(name), "cannot start {}", name));
  prepared.argv = Pointers(command.argv);
  if (command.env) prepared.env = Pointers(*command.env);
  prepared.parent = getpid();

  const UniqueFd null = TRY(OpenNull());
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return FailErrno("cannot make a pipe");
  const UniqueFd error_read(ends[0]);
  UniqueFd error_write(ends[1]);
  for (const int fd : {command.stdin_fd, command.stdout_fd, command.stderr_fd}) {
    prepared.fds.push_back(fd >= 0 ? fd : null.get());
  }
  prepared.fds.insert(prepared.fds.end(), command.extra_fds.begin(), command.extra_fds.end());
  prepared.fds.push_back(error_write.get());

  int pidfd = -1;
  const pid_t pid = CloneWithPidfd(&pidfd, command.new_pid_namespace ? CLONE_NEWPID : 0);
  if (pid < 0) return FailErrno("cannot start {}: clone3", name);
  if (pid == 0) RunChild(prepared);

  Child child(pid, UniqueFd(pidfd));
  error_write.Reset();
  Failure failure{};
  ssize_t count = 0;
  do {
    count = read(error_read.get(), &failure, sizeof failure);
  } while (count < 0 && errno == EINTR);
  if (count == sizeof failure) {
    (void)child.Wait();
    return FailWith(failure.sys, "cannot start {}: {}", name, NameOf(failure.step));
  }
  return child;
}

Result<Child> Fork(ForkOptions options, const std::function<void()>& body) {
  const UniqueFd null = TRY(OpenNull());
  std::replace(options.fds.begin(), options.fds.end(), -1, null.get());
  int pidfd = -1;
  const pid_t pid = CloneWithPidfd(&pidfd, options.flags, options.cgroup);
  if (pid < 0) return FailErrno("cannot make a process: clone3");
  if (pid > 0) return Child(pid, UniqueFd(pidfd));
  ResetSignals();
  if (PublishDescriptors(options.fds, 3)) body();
  _exit(1);
}

}  // namespace kata
