// SPDX-License-Identifier: Apache-2.0
#include "sandbox/host/hooks.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "base/files.h"
#include "base/log.h"

namespace kata::sandbox {
namespace {

// The bytes of a failed hook's output that are shown.
constexpr size_t kShownOutput = 4096;

// Memory files instead of pipes: a hook that reads or writes nothing, or a lot, never blocks.
Result<UniqueFd> MemoryFile(const char* name, std::string_view contents = {}) {
  UniqueFd file(memfd_create(name, MFD_CLOEXEC));
  if (!file) return FailErrno("cannot make a memory file");
  TRY(WriteAll(file.get(), contents));
  if (lseek(file.get(), 0, SEEK_SET) != 0) return FailErrno("cannot rewind a memory file");
  return file;
}

std::string Output(const UniqueFd& file) {
  std::string text(kShownOutput, '\0');
  const ssize_t length = pread(file.get(), text.data(), text.size(), 0);
  text.resize(length > 0 ? static_cast<size_t>(length) : 0);
  return text;
}

// Waits for the end of a hook, its time-out, or an interrupt.
Result<> Await(RunningHook& hook, int64_t timeout_seconds, const Interrupts* interrupts) {
  using Clock = std::chrono::steady_clock;
  const auto deadline = Clock::now() + std::chrono::seconds(timeout_seconds);
  for (;;) {
    int wait = -1;
    if (timeout_seconds > 0) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
      wait = static_cast<int>(std::clamp<int64_t>(left, 0, INT32_MAX));
    }
    pollfd waits[] = {{.fd = hook.pidfd(), .events = POLLIN, .revents = 0},
                      {.fd = interrupts != nullptr ? interrupts->fd() : -1, .events = POLLIN, .revents = 0}};
    const int ready = poll(waits, 2, wait);
    if (ready < 0 && errno != EINTR) return FailErrno("cannot wait for the hook");
    if (ready == 0 && Clock::now() >= deadline) return hook.Overdue(timeout_seconds);
    if (waits[0].revents != 0) return hook.Conclude();
    if (waits[1].revents != 0) {
      hook.End();
      return Fail(Code::kCancelled, "interrupted by signal {}", interrupts->Next());
    }
  }
}

Result<> RunHook(const grpc::Hook& hook, const HookContext& context) {
  RunningHook running = TRY(RunningHook::Start(hook, context));
  return Await(running, hook.timeout(), context.interrupts);
}

}  // namespace

Result<RunningHook> RunningHook::Start(const grpc::Hook& hook, const HookContext& context) {
  RunningHook running;
  const UniqueFd input = TRY(MemoryFile("hook-stdin", context.state));
  running.output_ = TRY(MemoryFile("hook-stdout"));
  running.errors_ = TRY(MemoryFile("hook-stderr"));
  Command command;
  command.path = hook.path();
  command.argv.assign(hook.args().begin(), hook.args().end());
  if (command.argv.empty()) command.argv = {hook.path()};
  if (!hook.inheritsenv()) {
    command.env.emplace(hook.env().begin(), hook.env().end());
  } else if (context.environment != nullptr) {
    command.env = *context.environment;
  }
  command.stdin_fd = input.get();
  command.stdout_fd = running.output_.get();
  command.stderr_fd = running.errors_.get();
  command.working_directory = context.working_directory;
  if (context.network_namespace >= 0) command.join_namespaces = {context.network_namespace};
  running.child_ = TRY(Spawn(command));
  log::Debug("the hook {} runs as process {}", hook.path(), running.pid());
  return running;
}

Result<> RunningHook::Conclude() {
  const ExitStatus end = TRY(child_.Wait());
  log::Debug("the hook {}", end.Describe());
  if (end.Shell() == 0) return {};
  return Fail(Code::kAborted, "{}, stdout: {}, stderr: {}", end.DescribeAsGo(), Output(output_), Output(errors_));
}

Result<> RunningHook::Overdue(int64_t timeout_seconds) {
  child_.End();
  return Fail(Code::kDeadlineExceeded, "hook ran past specified timeout of {}.0s", timeout_seconds);
}

std::string HookState(const State& state, Status status) {
  nlohmann::ordered_json json;
  json["ociVersion"] = state.oci_version;
  json["id"] = state.id;
  json["status"] = StatusName(status);
  if (status != Status::kStopped) json["pid"] = state.standin.pid;
  json["bundle"] = state.bundle;
  if (!state.annotations.empty()) json["annotations"] = state.annotations;
  return json.dump(-1, ' ', /*ensure_ascii=*/false, nlohmann::json::error_handler_t::replace);
}

Result<> RunHooks(const char* kind, const HookList& hooks, const HookContext& context) {
  for (int i = 0; i < hooks.size(); ++i) {
    TRY(Context(RunHook(hooks[i], context), "error running {} hook #{}", kind, i));
  }
  return {};
}

void RunHooksLenient(const char* kind, const HookList& hooks, const HookContext& context) {
  for (int i = 0; i < hooks.size(); ++i) {
    if (auto run = RunHook(hooks[i], context); !run) {
      log::Warn("error running {} hook #{}: {}", kind, i, run.error().message());
    }
  }
}

void RunPoststop(const State& state, const grpc::Spec& spec) {
  if (spec.hooks().poststop().empty()) return;
  const auto bundle = Open(state.bundle, O_PATH | O_DIRECTORY);
  const int directory = bundle ? bundle->get() : -1;
  RunHooksLenient("poststop", spec.hooks().poststop(),
                  {.state = HookState(state, Status::kStopped), .working_directory = directory});
}

}  // namespace kata::sandbox
