// SPDX-License-Identifier: Apache-2.0
#include "runtime/start_standin.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/files.h"
#include "base/user_namespace.h"
#include "sandbox/host/cgroup.h"
#include "sandbox/task/task_client.h"

namespace kata::runtime {
namespace {

// Whether /proc has the pids of this process's pid namespace.
bool ProcHasOurPids() {
  char link[16] = {};
  return readlink("/proc/self", link, sizeof link - 1) > 0 && link == std::to_string(getpid());
}

}  // namespace

Result<Child> StartStandin(const StandinOptions& options, int directory) {
  const UniqueFd connection = TRY(sandbox::ConnectStandin(directory));
  Command command;
  command.argv = {options.program};
  command.stdin_fd = STDIN_FILENO;
  command.stdout_fd = STDOUT_FILENO;
  command.stderr_fd = STDERR_FILENO;
  if (options.pty != nullptr) {
    command.argv.emplace_back("--terminal");
    command.stdin_fd = command.stdout_fd = command.stderr_fd = options.pty->slave.get();
  }
  command.argv.push_back(options.container);
  if (!options.exec_id.empty()) command.argv.push_back(options.exec_id);
  command.extra_fds = {connection.get()};
  command.env.emplace();
  if (options.until_end >= 0) command.extra_fds.push_back(options.until_end);
  command.die_with_parent = false;  // it lives as long as the process in the guest
  command.new_session = true;       // otherwise Ctrl-C would reach the process twice: directly and through the caller
  command.new_mount_namespace = options.own_mounts;
  // For engines that enter the container's pid namespace before its mounts (`podman cp`), which root of a user
  // namespace may not do with the host's. The stand-in finds its pid in /proc.
  command.new_pid_namespace = options.own_mounts && !IsHostsRoot() && ProcHasOurPids();
  // The caller's working directory would keep a file system busy as long as the container lives.
  const UniqueFd root = TRY(Open("/", O_PATH | O_DIRECTORY));
  command.working_directory = root.get();
  if (options.network_namespace >= 0) command.join_namespaces = {options.network_namespace};
  Child standin = TRY(Spawn(command));
  TRY(sandbox::EnterCgroups(options.cgroups, standin.pid(), options.cgroup_use));
  return standin;
}

Result<> CheckPidFile(const std::string& path) {
  struct stat info {};
  if (path.empty() || lstat(path.c_str(), &info) != 0 || S_ISREG(info.st_mode)) return {};
  return Fail(Code::kInvalidArgument, "pid file {}: there is something that is no regular file", path);
}

Result<> WritePidFile(const std::string& path, pid_t pid) {
  if (path.empty()) return {};
  TRY(CheckPidFile(path));
  const size_t slash = path.rfind('/');
  const std::string dir = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const UniqueFd directory = TRY(Context(Open(dir, O_PATH | O_DIRECTORY), "pid file {}", path));
  const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  return Context(WriteFileAtomic(directory.get(), name, fmt::format("{}", pid), 0644), "pid file {}", path);
}

}  // namespace kata::runtime
