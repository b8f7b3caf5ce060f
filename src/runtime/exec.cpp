// SPDX-License-Identifier: Apache-2.0
// `exec`: another process in a running container, with a stand-in of its own.
#include <fcntl.h>
#include <sys/random.h>
#include <unistd.h>

#include <optional>

#include "base/files.h"
#include "base/log.h"
#include "config/config.h"
#include "protocol/shim.pb.h"
#include "runtime/await_resume.h"
#include "runtime/create.h"
#include "runtime/exec_process.h"
#include "runtime/foreground.h"
#include "runtime/start_standin.h"
#include "runtime/store.h"
#include "runtime/terminal.h"
#include "runtime/verbs.h"
#include "sandbox/host/cgroup.h"
#include "sandbox/task/task_client.h"

namespace kata::runtime {
namespace {

Result<> CheckStatus(sandbox::Status status) {
  if (status == sandbox::Status::kStopped) {
    return Fail(Code::kFailedPrecondition, "cannot exec in a stopped container");
  }
  if (status == sandbox::Status::kCreating) {
    return Fail(Code::kFailedPrecondition, "cannot exec in a container that is still being created");
  }
  if (status == sandbox::Status::kPaused) {
    return Fail(Code::kFailedPrecondition, "cannot exec in a paused container (use --ignore-paused to override)");
  }
  return {};
}

Result<> CheckTerminal(const ExecOptions& options, bool terminal) {
  if (terminal && options.detach && options.console_socket.empty()) {
    return Fail(Code::kInvalidArgument,
                "cannot allocate tty if kata-runtime will detach without setting console socket");
  }
  if (!options.console_socket.empty() && !(terminal && options.detach)) {
    return Fail(Code::kInvalidArgument, "cannot use console socket if kata-runtime will not detach or allocate tty");
  }
  if (terminal && !options.detach) TRY(FindOwnTerminal());
  return {};
}

// A random id, which no other exec of the container has.
Result<std::string> NewExecId() {
  uint64_t number = 0;
  if (getrandom(&number, sizeof number, 0) != sizeof number) return FailErrno("cannot get a random number");
  return fmt::format("exec-{:016x}", number);
}

// One exec, from its request to its end.
class Execution {
 public:
  Execution(const ExecOptions& options, const Record& record, const Interrupts& interrupts)
      : options_(options), record_(record), interrupts_(interrupts) {}

  Result<int> Run(const Globals& globals) {
    process_ = TRY(MakeExecProcess(options_, TRY(ReadSpecCopy(record_.directory.get()))));
    for (const std::string& warning : process_.warnings) log::Warn("{}", warning);
    TRY(CheckTerminal(options_, process_.terminal));
    TRY(CheckPidFile(options_.pid_file));
    id_ = TRY(NewExecId());
    const config::LoadOptions options = config::OptionsOfProcess(globals.config_path);
    auto launched = LaunchStandin(TRY(config::Load(options)).config.runtime.standin_path);
    if (!launched) return tl::unexpected(ExplainStartFailure(std::move(launched).error(), record_.directory.get()));
    Child standin = *std::move(launched);
    log::Debug("process {} stands for {}", standin.pid(), id_);
    Child mover = TRY(MoveToCgroups(standin.pid(), CgroupUseOf(globals.rootless)));
    Task task = TRY(Task::Connect(record_.directory.get()));
    TRY(CallExec(task, standin.pid()));
    Foreground foreground{.container = record_.id, .exec_id = id_, .terminal = -1, .outputs = outputs_.here.get()};
    OwnTerminal terminal;
    std::optional<RawTerminal> raw;
    std::optional<Interrupts> signals;
    // Before the terminal is raw: a signal that ended this process would leave it so.
    if (!options_.detach) signals.emplace(TRY(Interrupts::Forwarded()));
    if (process_.terminal && !options_.detach) {
      terminal = TRY(FindOwnTerminal());
      foreground.terminal = terminal.fd;
      if (auto sized = SyncWindowSize(task, foreground); !sized) log::Warn("{}", sized.error().message());
      raw.emplace(TRY(RawTerminal::Enter(foreground.terminal)));
    }
    TRY(CallStart(task));
    if (mover.running()) TRY(mover.Wait());
    if (pty_) TRY(SendToConsoleSocket(options_.console_socket, *pty_));
    TRY(WritePidFile(options_.pid_file, standin.pid()));
    log::Debug("{} runs{}", id_, options_.detach ? " and is left alone" : "");
    if (options_.detach) {
      standin.Disown();
      return 0;
    }
    return AwaitEnd(standin, task, foreground, *signals);
  }

 private:
  Result<Child> LaunchStandin(std::string program) {
    if (!options_.console_socket.empty()) pty_ = TRY(OpenPty(process_.rows, process_.columns));
    const pid_t container = record_.state.standin.pid;
    const UniqueFd network = TRY(Open(fmt::format("/proc/{}/ns/net", container), O_RDONLY));
    if (!options_.detach) outputs_ = TRY(MakeOutputsEnd());
    const UniqueFd until_end = std::move(outputs_.there);
    return StartStandin({.program = std::move(program),
                         .container = record_.id,
                         .exec_id = id_,
                         .cgroups = {},
                         .network_namespace = network.get(),
                         .pty = pty_ ? &*pty_ : nullptr,
                         .own_mounts = false,
                         .until_end = until_end.get()},
                        record_.directory.get());
  }

  // In a child, since with cgroup v1 a move may wait for all CPUs of the host; meanwhile the guest makes the process.
  Result<Child> MoveToCgroups(pid_t standin, sandbox::CgroupUse use) {
    auto cgroups = sandbox::CgroupsOf(record_.state.standin.pid);
    if (!cgroups) log::Warn("the process stays in the caller's cgroups: {}", cgroups.error().message());
    if (!cgroups) return Child();
    return Fork({.fds = {-1, -1, STDERR_FILENO}}, [&cgroups, standin, use] {
      const auto entered = sandbox::EnterCgroups(*cgroups, standin, use);
      if (!entered) log::Warn("the process stays in the caller's cgroups: {}", entered.error().message());
      _exit(0);
    });
  }

  Result<> CallExec(Task& task, pid_t standin) {
    containerd::task::v2::ExecProcessRequest request;
    request.set_id(record_.id);
    request.set_exec_id(id_);
    request.set_terminal(process_.terminal);
    const bool foreground = process_.terminal && !options_.detach;
    const std::string stdio = sandbox::StandinStdio(standin, foreground ? getpid() : 0);
    request.set_stdin(stdio);
    request.set_stdout(stdio);
    request.set_stderr(stdio);
    request.mutable_spec()->set_type_url(sandbox::kProcessType);
    request.mutable_spec()->set_value(process_.json);
    return Explain(task.Call<wkt::Empty>("Exec", request, {}, &interrupts_));
  }

  Result<> CallStart(Task& task) {
    containerd::task::v2::StartRequest request;
    request.set_id(record_.id);
    request.set_exec_id(id_);
    return Explain(task.Call<containerd::task::v2::StartResponse>("Start", request, {}, &interrupts_));
  }

  template <typename Reply>
  Result<> Explain(Result<Reply> reply) {
    if (!reply) return tl::unexpected(ExplainStartFailure(std::move(reply).error(), record_.directory.get()));
    return {};
  }

  const ExecOptions& options_;
  const Record& record_;
  const Interrupts& interrupts_;
  ExecProcess process_;
  std::string id_;
  std::optional<Pty> pty_;
  OutputsEnd outputs_;  // only in the foreground
};

}  // namespace

Result<int> Exec(const Globals& globals, const ExecOptions& options) {
  const auto execute = [&]() -> Result<int> {
    const Interrupts interrupts = TRY(Interrupts::Ending());
    Record record = TRY(FindContainer(globals.root, options.id));
    if (options.ignore_paused) {
      // Do not wait for a container whose cgroup is frozen on the host: thawing does not change its directory, so that
      // AwaitResume would not notice it.
      TRY(CheckHears(record));
      TRY(AwaitResume(record, interrupts));
    }
    TRY(CheckStatus(record.status()));
    TRY(CheckHears(record));
    return Execution(options, record, interrupts).Run(globals);
  };
  return Context(execute(), "exec failed");
}

}  // namespace kata::runtime
