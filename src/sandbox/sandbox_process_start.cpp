// SPDX-License-Identifier: Apache-2.0
// Starts the sandbox process and waits until it is ready; converts its command line.
#include <fcntl.h>
#include <unistd.h>

#include <climits>
#include <cstring>

#include "base/files.h"
#include "sandbox/ready.h"
#include "sandbox/sandbox_process.h"

namespace kata::sandbox {
std::string OwnPath() {
  char path[PATH_MAX];
  ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);
  if (length <= 0) return "/proc/self/exe";
  path[length] = '\0';
  return access(path, X_OK) == 0 ? path : "/proc/self/exe";
}

std::vector<std::string> SandboxArguments(const SandboxOptions& options) {
  std::vector<std::string> arguments = {"--id", options.id, "--bundle", options.bundle};
  if (!options.config_path.empty()) arguments.insert(arguments.end(), {"--config", options.config_path});
  for (const auto& path : options.cgroups) arguments.insert(arguments.end(), {"--enter-cgroup", path});
  for (const auto& path : options.vcpu_cgroups) arguments.insert(arguments.end(), {"--vcpu-cgroup", path});
  for (const auto& path : options.cgroup_paths) arguments.insert(arguments.end(), {"--cgroup", path});
  if (!options.systemd_unit.empty()) arguments.insert(arguments.end(), {"--systemd-unit", options.systemd_unit});
  if (options.network_namespace) arguments.emplace_back("--network-namespace");
  if (options.rootless) arguments.emplace_back("--rootless");
  if (options.debug) arguments.emplace_back("--debug");
  return arguments;
}

Result<SandboxOptions> ParseSandboxArguments(const std::vector<std::string>& arguments) {
  SandboxOptions options;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& name = arguments[i];
    if (name == "--network-namespace") {
      options.network_namespace = true;
      continue;
    }
    if (name == "--rootless") {
      options.rootless = true;
      continue;
    }
    if (name == "--debug") {
      options.debug = true;
      continue;
    }
    if (i + 1 == arguments.size()) return Fail(Code::kInvalidArgument, "{} has no value, or is unknown", name);
    const std::string& value = arguments[++i];
    if (name == "--id") {
      options.id = value;
    } else if (name == "--bundle") {
      options.bundle = value;
    } else if (name == "--config") {
      options.config_path = value;
    } else if (name == "--enter-cgroup") {
      options.cgroups.push_back(value);
    } else if (name == "--vcpu-cgroup") {
      options.vcpu_cgroups.push_back(value);
    } else if (name == "--cgroup") {
      options.cgroup_paths.push_back(value);
    } else if (name == "--systemd-unit") {
      options.systemd_unit = value;
    } else {
      return Fail(Code::kInvalidArgument, "unknown argument {}", name);
    }
  }
  if (options.id.empty() || options.bundle.empty()) return Fail(Code::kInvalidArgument, "--id and --bundle are needed");
  return options;
}

Result<LaunchedSandbox> LaunchSandbox(const SandboxOptions& options, int directory, int network_namespace) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return FailErrno("cannot make a pipe");
  UniqueFd ready(ends[0]);
  UniqueFd tell(ends[1]);

  Command command;
  command.argv = {OwnPath(), kSandboxVerb};
  for (auto& argument : SandboxArguments(options)) command.argv.push_back(std::move(argument));
  command.extra_fds = {directory, tell.get()};
  if (options.network_namespace) command.extra_fds.push_back(network_namespace);
  // An engine's own variables, such as secrets of a CI job or NOTIFY_SOCKET, must not reach the processes of a VM.
  command.env = EnvironmentOf({"PATH", "KATA_CONF_FILE"});
  command.die_with_parent = false;
  command.new_session = true;
  auto child = Spawn(command);
  if (!child)
    return Context(Result<LaunchedSandbox>(tl::unexpected<Error>(child.error())), "cannot start the sandbox process");
  return LaunchedSandbox{.process = *std::move(child), .ready = std::move(ready)};
}

Result<> LaunchedSandbox::AwaitReady(Patience patience) {
  if (!AwaitReadable(ready.get(), patience)) {
    return Fail(Code::kDeadlineExceeded, "the sandbox process was not ready {}", patience.Text());
  }
  char first = 0;
  ssize_t got = read(ready.get(), &first, 1);
  if (got == 1 && first == kReady) return {};
  std::string text(got == 1 ? 1 : 0, first);
  if (auto rest = ReadAll(ready.get(), PIPE_BUF)) text += *rest;
  if (text.empty()) return Fail(Code::kUnavailable, "the sandbox process ended before it was ready");
  return Fail(Code::kUnavailable, "the sandbox process could not begin: {}", text);
}

}  // namespace kata::sandbox
