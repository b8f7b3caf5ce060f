// SPDX-License-Identifier: Apache-2.0
#include "agent/container/hooks.h"

#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "base/child.h"
#include "base/files.h"

namespace kata::agent {

namespace {

std::string Quote(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      quoted += '\\';
      quoted += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      quoted += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      quoted += c;
    }
  }
  return quoted + '"';
}

Result<UniqueFd> MemoryFile(std::string_view text) {
  UniqueFd fd(memfd_create("hook", MFD_CLOEXEC));
  if (!fd) return FailErrno("cannot make a memfd");
  TRY(WriteAll(fd.get(), text));
  if (lseek(fd.get(), 0, SEEK_SET) != 0) return FailErrno("cannot rewind a memfd");
  return fd;
}

// The end of the hook's output, at most 1 KiB.
std::string Output(int file) {
  constexpr off_t kShown = 1024;
  const off_t size = lseek(file, 0, SEEK_END);
  std::string text(static_cast<size_t>(std::clamp<off_t>(size, 0, kShown)), '\0');
  const ssize_t count = pread(file, text.data(), text.size(), std::max<off_t>(size - kShown, 0));
  text.resize(count > 0 ? static_cast<size_t>(count) : 0);
  return text;
}

Result<> RunHook(const grpc::Hook& hook, const std::string& state, const std::vector<std::string>& env,
                 const SeccompFilter& filter) {
  const UniqueFd input = TRY(MemoryFile(state));
  const UniqueFd output = TRY(MemoryFile(""));
  Command command;
  command.path = hook.path();
  command.argv.assign(hook.args().begin(), hook.args().end());
  if (command.argv.empty()) command.argv.push_back(hook.path());
  if (hook.inheritsenv()) {
    command.env = env;
  } else {
    command.env.emplace(hook.env().begin(), hook.env().end());
  }
  command.before_exec = [&filter] { return LoadSeccomp(filter); };
  command.stdin_fd = input.get();
  command.stdout_fd = output.get();
  command.stderr_fd = output.get();
  Child child = TRY(Spawn(command));
  pollfd ended{child.pidfd(), POLLIN, 0};
  const int limit = hook.timeout() > 0 ? static_cast<int>(std::min<int64_t>(hook.timeout(), 1'000'000) * 1000) : -1;
  int ready = 0;
  do {
    ready = poll(&ended, 1, limit);
  } while (ready < 0 && errno == EINTR);
  if (ready == 0) {
    child.End();
    return Fail(Code::kDeadlineExceeded, "timed out after {} s, output: {}", hook.timeout(), Output(output.get()));
  }
  const ExitStatus status = TRY(child.Wait());
  if (status.Shell() != 0) {
    return Fail(Code::kFailedPrecondition, "error running hook: {}, output: {}", status.DescribeAsGo(),
                Output(output.get()));
  }
  return {};
}

}  // namespace

std::string StateJson(const grpc::Spec& spec, const std::string& id, pid_t pid) {
  std::string annotations;
  for (const auto& [key, value] : spec.annotations()) {
    annotations += fmt::format("{}{}:{}", annotations.empty() ? "" : ",", Quote(key), Quote(value));
  }
  const std::string& root = spec.root().path();
  const std::string bundle = root.substr(0, root.rfind('/'));
  if (!annotations.empty()) annotations = R"(,"annotations":{)" + annotations + "}";
  return fmt::format(R"({{"ociVersion":{},"id":{},"status":"created","pid":{},"bundle":{}{}}})", Quote(spec.version()),
                     Quote(id), pid, Quote(bundle), annotations);
}

Result<> RunStartContainerHooks(const grpc::Spec& spec, const std::string& id, const std::vector<std::string>& env,
                                const SeccompFilter& filter) {
  if (spec.hooks().startcontainer().empty()) return {};
  const std::string state = StateJson(spec, id, getpid());
  int index = 0;
  for (const grpc::Hook& hook : spec.hooks().startcontainer()) {
    TRY(Context(RunHook(hook, state, env, filter), "startContainer hook #{} ({})", index++, hook.path()));
  }
  return {};
}

}  // namespace kata::agent
