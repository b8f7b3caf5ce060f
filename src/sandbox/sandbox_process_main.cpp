// SPDX-License-Identifier: Apache-2.0
// The main function of the sandbox process: makes its sandbox and services, and runs the event loop.
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/signal_set.hpp>

#include "base/coroutine.h"
#include "base/files.h"
#include "base/interrupts.h"
#include "base/log.h"
#include "base/security_module.h"
#include "rpc/server.h"
#include "rpc/unix_socket.h"
#include "sandbox/assemble.h"
#include "sandbox/host/cgroup.h"
#include "sandbox/host/host_cgroups.h"
#include "sandbox/ready.h"
#include "sandbox/record/directory.h"
#include "sandbox/sandbox_process.h"
#include "sandbox/stdio/standin_stdio.h"
#include "sandbox/task/task_client.h"
#include "sandbox/task/task_service.h"

namespace kata::sandbox {
namespace {

// Time for the last replies, to callers that wait for the end.
constexpr std::chrono::milliseconds kLastAnswers{1000};

// The input from outside, read once before anything is started.
struct Plan {
  SandboxOptions options;
  UniqueFd ready;
  SandboxPlan sandbox;
};

Result<UniqueFd> TakeInherited(int fd) {
  if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) return FailErrno("descriptor {} was not given", fd);
  return UniqueFd(fd);
}

Result<> OpenLog(int directory, bool debug) {
  UniqueFd file = TRY(OpenBeneath(directory, kSandboxLog, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  // What libraries write goes to the log as well.
  if (dup2(file.get(), STDOUT_FILENO) < 0 || dup2(file.get(), STDERR_FILENO) < 0) {
    return FailErrno("cannot send the output to {}", kSandboxLog);
  }
  log::SetOutput(STDERR_FILENO, log::Format::kText);
  if (debug) log::SetLevel(log::Level::kDebug);
  return {};
}

Result<> Prepare(const std::vector<std::string>& arguments, Plan& plan) {
  plan.sandbox.directory = TRY(TakeInherited(kDirectoryFd));
  plan.options = TRY(ParseSandboxArguments(arguments));
  TRY(OpenLog(plan.sandbox.directory.get(), plan.options.debug));
  if (plan.options.network_namespace) {
    plan.sandbox.network_namespace = TRY(network::Namespace::Of(TRY(TakeInherited(kNetworkNamespaceFd))));
    if (!network::CanReturn()) TRY(plan.sandbox.network_namespace->Enter());
  }
  // A container of the command line with the host's network gets loopback only.
  plan.sandbox.host_network = network::HostNetwork::kLoopbackOnly;
  const CgroupUse use = plan.options.rootless ? CgroupUse::kIfAllowed : CgroupUse::kRequired;
  TRY(EnterCgroups(plan.options.cgroups, getpid(), use));
  // This process must not keep the caller's working directory busy.
  if (chdir("/") != 0) return FailErrno("cannot change to /");
  SandboxPlan& sandbox = plan.sandbox;
  sandbox.apparmor_profile = kSandboxProfile;
  sandbox.id = plan.options.id;
  sandbox.bundle = TRY(oci::LoadBundle(plan.options.bundle));
  // kata-runtime, which started this process, has shown the file's own warnings.
  sandbox.config = TRY(LoadConfig(plan.options.config_path, sandbox.bundle, /*warn=*/false));
  if (!plan.options.debug) log::SetLevel(LogLevelOf(sandbox.config.runtime));
  // `create` has written a record already, with what it has made.
  if (auto state = LoadState(sandbox.directory.get())) sandbox.state = *std::move(state);
  sandbox.vcpu_cgroups = plan.options.vcpu_cgroups;
  sandbox.limited_cgroups = LimitedCgroups(sandbox.vcpu_cgroups.empty() ? plan.options.cgroups : sandbox.vcpu_cgroups,
                                           plan.options.cgroup_paths);
  sandbox.state.cgroup_paths = plan.options.cgroup_paths;
  sandbox.state.systemd_unit = plan.options.systemd_unit;
  sandbox.mounts = TRY(MountNamespaces::EnterPrivate());
  sandbox.directory = TRY(ReopenDirectory(sandbox.directory.get()));
  sandbox.root = TRY(Open(FdPath(sandbox.directory.get()) + "/..", O_PATH | O_DIRECTORY));
  return {};
}

// Runs from the moment at which the process is ready to its end.
asio::awaitable<void> Live(asio::io_context& io, std::shared_ptr<Sandbox> sandbox, TaskService& service, bool& well) {
  well = co_await Sandbox::Run(sandbox);
  co_await service.Idle(kLastAnswers);
  // Two posts: the queued work sends the last replies before the loop stops.
  asio::post(io, [&io] { asio::post(io, [&io] { io.stop(); }); });
}

// A signal lets the containers end that are stopped with this process; one that comes meanwhile does not wait for that.
asio::awaitable<void> AwaitSignals(asio::signal_set& signals, std::shared_ptr<Sandbox> sandbox) {
  const auto executor = co_await asio::this_coro::executor;
  const auto stopping = std::make_shared<bool>(false);
  while (true) {
    const auto [error, signal] = co_await signals.async_wait(kAwait);
    if (error) co_return;
    log::Info("asked to stop by signal {}{}", signal, *stopping ? " once more" : "");
    if (std::exchange(*stopping, true)) {
      sandbox->RequestEnd(/*now=*/false);
      continue;
    }
    asio::co_spawn(executor, Sandbox::Stop(sandbox, signal),
                   [stopping](const std::exception_ptr&) { *stopping = false; });
  }
}

// Before the first container is created, only the starter knows of this process, which must then not outlive the
// starter.
asio::awaitable<void> WatchStarter(asio::posix::stream_descriptor& ready, std::shared_ptr<Sandbox> sandbox) {
  // The writing end of a pipe is never readable: the wait ends when the starter closes the reading end.
  co_await ready.async_wait(asio::posix::descriptor_base::wait_read, kAwait);
  if (sandbox->containers().empty()) sandbox->RequestEnd(/*now=*/true);
}

Result<bool> RunSandbox(Plan& plan) {
  asio::io_context io(1);
  auto executor = io.get_executor();
  auto standins = std::make_shared<StandinServer>(executor);
  UniqueFd task_listener = TRY(rpc::ListenUnix(plan.sandbox.directory.get(), kTaskSocket));
  UniqueFd standin_listener = TRY(ListenSeqpacket(plan.sandbox.directory.get(), kStandinSocket));
  auto sandbox = TRY(StartSandbox(executor, plan.sandbox));
  TaskService service(sandbox, TaskInterface{.stdio = std::make_unique<StandinStdioSource>(executor, standins),
                                             .serves_command_line = true});

  asio::signal_set signals(io);
  for (const int signal : StoppingSignals()) signals.add(signal);
  asio::co_spawn(io, AwaitSignals(signals, sandbox), asio::detached);
  asio::co_spawn(io, StandinServer::Serve(standins, std::move(standin_listener)), asio::detached);
  asio::co_spawn(io, rpc::ServeUnix(std::move(task_listener), service.table()), asio::detached);

  TRY(WriteAll(plan.ready.get(), std::string_view(&kReady, 1)));
  asio::posix::stream_descriptor ready(io, plan.ready.Release());
  asio::co_spawn(io, WatchStarter(ready, sandbox), asio::detached);
  bool well = false;
  asio::co_spawn(io, Live(io, sandbox, service, well), asio::detached);
  io.run();
  return well;
}

}  // namespace

int SandboxProcessMain(const std::vector<std::string>& arguments) {
  signal(SIGPIPE, SIG_IGN);
  signal(SIGHUP, SIG_IGN);
  umask(0077);
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  auto ready = TakeInherited(kReadyFd);
  if (!ready) return 1;
  Plan plan;
  plan.ready = *std::move(ready);
  auto prepared = Prepare(arguments, plan);
  Result<bool> well = prepared ? RunSandbox(plan) : tl::unexpected<Error>(prepared.error());
  EndOrphans();
  if (!well) {
    log::Error("{}", well.error().message());
    // The starter reads this from the pipe. After kReady nobody does, and plan.ready is not valid any more.
    if (plan.ready) (void)WriteAll(plan.ready.get(), well.error().message());
    return 1;
  }
  return *well ? 0 : 1;
}

}  // namespace kata::sandbox
