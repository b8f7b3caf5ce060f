// SPDX-License-Identifier: Apache-2.0
// The main of the sandbox process: everything that exists once in it, put together.
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
#include "base/log.h"
#include "rpc/server.h"
#include "sandbox/assemble.h"
#include "sandbox/host/cgroup.h"
#include "sandbox/ready.h"
#include "sandbox/record/directory.h"
#include "sandbox/sandbox_process.h"
#include "sandbox/stdio/standin_stdio.h"
#include "sandbox/task/task_client.h"
#include "sandbox/task/task_service.h"

namespace kata::sandbox {
namespace {

// For the answers to those who wait for the end.
constexpr std::chrono::milliseconds kLastAnswers{1000};

// What comes from outside: read once, before anything is started.
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
  // Also what libraries write goes there.
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
  }
  // Without a network of its own a container of the command line has loopback only.
  plan.sandbox.host_network = network::HostNetwork::kLoopbackOnly;
  TRY(EnterCgroups(plan.options.cgroups, getpid()));
  // The caller's directory must not be kept busy.
  if (chdir("/") != 0) return FailErrno("cannot change to /");
  SandboxPlan& sandbox = plan.sandbox;
  sandbox.id = plan.options.id;
  sandbox.bundle = TRY(oci::LoadBundle(plan.options.bundle));
  // The file's own warnings were shown by whoever started this process.
  sandbox.config = TRY(LoadConfig(plan.options.config_path, sandbox.bundle, /*warn=*/false));
  if (!plan.options.debug) log::SetLevel(LogLevelOf(sandbox.config.runtime));
  // `create` has written it before, with what it made.
  if (auto state = LoadState(sandbox.directory.get())) sandbox.state = *std::move(state);
  sandbox.vcpu_cgroups = plan.options.vcpu_cgroups;
  sandbox.state.cgroup_paths = plan.options.cgroup_paths;
  sandbox.mounts = TRY(MountNamespaces::EnterPrivate());
  sandbox.directory = TRY(ReopenDirectory(sandbox.directory.get()));
  return {};
}

// The whole life of the process once it is ready.
asio::awaitable<void> Live(asio::io_context& io, std::shared_ptr<Sandbox> sandbox, TaskService& service, bool& well) {
  well = co_await Sandbox::Run(sandbox);
  co_await service.Idle(kLastAnswers);
  // The last answers are on their way once what is queued has run.
  asio::post(io, [&io] { asio::post(io, [&io] { io.stop(); }); });
}

// Before the first container nobody but the starter knows of this process: it must not outlive it.
asio::awaitable<void> WatchStarter(asio::posix::stream_descriptor& ready, std::shared_ptr<Sandbox> sandbox) {
  // The end that is written to is never readable: it is woken by the closing of the other end.
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
  TaskService service(
      sandbox, TaskInterface{.stdio = std::make_unique<StandinStdioSource>(executor, standins), .lists_guest = true});

  asio::signal_set signals(io, SIGTERM, SIGINT);
  signals.async_wait([&](boost::system::error_code error, int) {
    if (!error) sandbox->RequestEnd(/*now=*/false);
  });
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
    // Read by the one who waits; when it has been told that all is ready, nobody does.
    if (plan.ready) (void)WriteAll(plan.ready.get(), well.error().message());
    return 1;
  }
  return *well ? 0 : 1;
}

}  // namespace kata::sandbox
