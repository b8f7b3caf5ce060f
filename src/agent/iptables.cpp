// SPDX-License-Identifier: Apache-2.0
#include "agent/iptables.h"

#include <sys/mman.h>
#include <unistd.h>

#include "agent/reaper.h"
#include "base/files.h"

namespace kata::agent {

namespace {

constexpr size_t kMostOutput = 2U << 20U;

Result<UniqueFd> MemoryFile(std::string_view text) {
  UniqueFd fd(memfd_create("iptables", MFD_CLOEXEC));
  if (!fd) return FailErrno("cannot make a memfd");
  TRY(WriteAll(fd.get(), text));
  if (lseek(fd.get(), 0, SEEK_SET) != 0) return FailErrno("cannot rewind a memfd");
  return fd;
}

Result<std::string> Find(const std::string& name) {
  for (const char* directory : {"/usr/sbin/", "/sbin/", "/usr/bin/", "/bin/"}) {
    const std::string path = directory + name;
    if (access(path.c_str(), X_OK) == 0) return path;
  }
  return Fail(Code::kFailedPrecondition,
              "the guest has no {0}: put a static one into its initrd with guest/initrd/build.sh --add "
              "HOST_PATH:/sbin/{0}",
              name);
}

asio::awaitable<Result<std::string>> Run(std::string name, std::vector<std::string> arguments, std::string input) {
  CO_TRY_ASSIGN(std::string path, Find(name));
  CO_TRY_ASSIGN(const UniqueFd in, MemoryFile(input));
  CO_TRY_ASSIGN(const UniqueFd out, MemoryFile(""));
  CO_TRY_ASSIGN(const UniqueFd errors, MemoryFile(""));
  Command command;
  command.path = std::move(path);
  command.argv = {name};
  command.argv.insert(command.argv.end(), arguments.begin(), arguments.end());
  command.env = std::vector<std::string>{"PATH=/usr/sbin:/sbin:/usr/bin:/bin"};
  command.stdin_fd = in.get();
  command.stdout_fd = out.get();
  command.stderr_fd = errors.get();
  CO_TRY_ASSIGN(auto child, Spawn(command));
  CO_TRY_ASSIGN(const ExitStatus status, co_await Reaper::Get().Wait(child.Disown()));
  (void)lseek(out.get(), 0, SEEK_SET);
  (void)lseek(errors.get(), 0, SEEK_SET);
  if (status.Shell() != 0) {
    const std::string said = ReadAll(errors.get(), kMostOutput).value_or("");
    co_return Fail(Code::kInvalidArgument, "{} {}: {}", name, status.Describe(), said.substr(0, 1024));
  }
  co_return ReadAll(out.get(), kMostOutput);
}

}  // namespace

asio::awaitable<Result<std::string>> SaveIpTables(bool ipv6) {
  std::vector<std::string> none;
  return Run(ipv6 ? "ip6tables-save" : "iptables-save", std::move(none), "");
}

asio::awaitable<Result<std::string>> RestoreIpTables(bool ipv6, std::string rules) {
  std::vector<std::string> arguments = {"--wait", "5"};
  return Run(ipv6 ? "ip6tables-restore" : "iptables-restore", std::move(arguments), std::move(rules));
}

}  // namespace kata::agent
