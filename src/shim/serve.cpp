// SPDX-License-Identifier: Apache-2.0
// The shim itself: claims the sandbox's directory, serves Task and Sandbox until it is told to end, and cleans up.
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <cstdlib>

#include "base/coroutine.h"
#include "base/files.h"
#include "base/interrupts.h"
#include "base/log.h"
#include "rpc/server.h"
#include "sandbox/assemble.h"
#include "sandbox/host/cgroup.h"
#include "sandbox/network/attach.h"
#include "sandbox/ready.h"
#include "sandbox/record/directory.h"
#include "sandbox/record/state.h"
#include "shim/actions.h"
#include "shim/service.h"

namespace kata::shim {
namespace {

// Time allowed to deliver the last events to containerd.
constexpr std::chrono::milliseconds kFlushTime{2000};
// Time allowed for containerd to close its connection after the last reply, which normally takes milliseconds.
constexpr std::chrono::milliseconds kCloseTime{500};

// Logs into the FIFO "log" of the bundle, which containerd reads. It is opened for reading and writing, so that writes
// neither fail nor block while nobody reads. Messages that do not fit are dropped.
void OpenLog(const Arguments& arguments) {
  if (auto fifo = Open("log", O_RDWR | O_NONBLOCK | O_NOCTTY)) dup2(fifo->get(), STDERR_FILENO);
  log::SetOutput(STDERR_FILENO, log::Format::kText);
  log::AddField("sandbox", arguments.id);
  if (arguments.debug) log::SetLevel(log::Level::kDebug);
}

// Claims the sandbox's directory. A directory that is left from a dead sandbox is cleaned up and replaced.
Result<UniqueFd> Claim(const std::string& id) {
  auto claimed = sandbox::ClaimDirectory(sandbox::kDefaultRoot, id);
  if (claimed || claimed.error().code() != Code::kAlreadyExists) return claimed;
  const UniqueFd old = TRY(sandbox::OpenDirectory(sandbox::kDefaultRoot, id));
  const auto state = sandbox::LoadState(old.get());
  if (!state || IsAlive(state->sandbox)) return claimed;
  sandbox::network::RemoveLeftoversAt(state->network, id);
  sandbox::EndCgroupStay(state->systemd_unit, state->cgroup_paths, id);
  TRY(sandbox::RemoveDirectory(sandbox::kDefaultRoot, id));
  return sandbox::ClaimDirectory(sandbox::kDefaultRoot, id);
}

Result<ShimParts> Prepare(const Arguments& arguments, int directory) {
  ShimParts parts;
  parts.id = arguments.id;
  parts.namespace_name = arguments.namespace_name;
  parts.socket = arguments.socket;
  parts.options.config_path = arguments.config;
  if (!arguments.systemd_cgroup.empty()) parts.options.systemd_cgroup = arguments.systemd_cgroup == "true";
  parts.debug = arguments.debug;
  parts.mounts = TRY(sandbox::MountNamespaces::EnterPrivate());
  parts.directory = TRY(sandbox::ReopenDirectory(directory));
  parts.cgroups = std::make_shared<sandbox::CgroupVisit>();
  return parts;
}

asio::awaitable<void> Live(asio::io_context& io, ShimService& service, std::shared_ptr<Publisher> publisher,
                           std::shared_ptr<Loggers> loggers, std::shared_ptr<rpc::Clients> clients) {
  co_await service.Run();
  co_await publisher->Flush(kFlushTime);
  co_await loggers->FinishAll();
  co_await clients->AwaitGone(kCloseTime);
  // Stop only after the handlers that are queued now: where no client is waited for, they send the last replies.
  asio::post(io, [&io] { asio::post(io, [&io] { io.stop(); }); });
}

// The first signal lets the containers end, a second one does not wait for that.
asio::awaitable<void> AwaitSignals(asio::signal_set& signals, ShimService& service) {
  const auto [error, signal] = co_await signals.async_wait(kAwait);
  if (error) co_return;
  service.Stop(signal);
  co_await signals.async_wait(kAwait);
  service.RequestEnd();
}

Result<> RunShim(const Arguments& arguments, ShimParts parts, UniqueFd listener, UniqueFd& ready) {
  asio::io_context io(1);
  const char* events = std::getenv("TTRPC_ADDRESS");
  auto publisher = std::make_shared<Publisher>(io.get_executor(), events == nullptr ? "" : events,
                                               arguments.namespace_name, parts.mounts);
  parts.publisher = publisher;
  const auto loggers = std::make_shared<Loggers>(io.get_executor());
  parts.loggers = loggers;
  ShimService service(io.get_executor(), std::move(parts));
  asio::signal_set signals(io);
  for (const int signal : StoppingSignals()) signals.add(signal);
  asio::co_spawn(io, AwaitSignals(signals, service), asio::detached);
  const auto clients = std::make_shared<rpc::Clients>();
  asio::co_spawn(io, rpc::ServeUnix(std::move(listener), service.table(), clients), asio::detached);
  asio::co_spawn(io, Live(io, service, publisher, loggers, clients), asio::detached);
  TRY(WriteAll(ready.get(), std::string_view(&sandbox::kReady, 1)));
  ready.Reset();
  io.run();
  return {};
}

// To be called in the host's mount namespace, where nothing is mounted in the directory.
Result<> RemoveTraces(const Arguments& arguments) {
  if (!arguments.socket.empty()) unlink(arguments.socket.c_str());
  return sandbox::RemoveDirectory(sandbox::kDefaultRoot, arguments.id);
}

Result<> ClaimAndRun(const Arguments& arguments, UniqueFd listener, UniqueFd& ready) {
  if (chdir("/") != 0) return FailErrno("cannot change to /");
  // `start` has called listen before. Calling it again makes this process the one that SO_PEERCRED shows to clients, by
  // which `delete` finds it.
  if (listen(listener.get(), SOMAXCONN) != 0) return FailErrno("cannot listen on {}", arguments.socket);
  const UniqueFd directory = TRY(Claim(arguments.id));
  auto parts = Prepare(arguments, directory.get());
  sandbox::MountNamespaces mounts;
  std::shared_ptr<sandbox::CgroupVisit> cgroups;
  Result<> done;
  if (parts) {
    mounts = parts->mounts;
    cgroups = parts->cgroups;
    done = RunShim(arguments, *std::move(parts), std::move(listener), ready);
  } else {
    done = tl::unexpected<Error>(std::move(parts).error());
  }
  sandbox::EndOrphans();
  auto removed = mounts.OnHost([&] {
    if (cgroups) cgroups->End();
    return RemoveTraces(arguments);
  });
  if (!removed) log::Warn("cannot remove the sandbox's directory: {}", removed.error().message());
  return done;
}

}  // namespace

int Serve(const Arguments& arguments) {
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);
  signal(SIGHUP, SIG_IGN);
  umask(0077);
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  OpenLog(arguments);
  for (const int fd : {kListenerFd, sandbox::kReadyFd}) {
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) == 0) continue;
    log::Error("descriptor {} was not given: the shim is started by its action `start`", fd);
    return 1;
  }
  UniqueFd ready(sandbox::kReadyFd);
  auto done = ClaimAndRun(arguments, UniqueFd(kListenerFd), ready);
  if (done) return 0;
  log::Error("{}", done.error().message());
  // `start` reads this if it still waits for the shim to be ready.
  if (ready) (void)WriteAll(ready.get(), done.error().message());
  return 1;
}

}  // namespace kata::shim
