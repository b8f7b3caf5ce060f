// SPDX-License-Identifier: Apache-2.0
#include "sandbox/task/host_hooks.h"

#include <fcntl.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/coroutine.h"
#include "base/files.h"
#include "base/log.h"

namespace kata::sandbox {
namespace {

struct Wait {
  Wait(const asio::any_io_executor& executor, UniqueFd pidfd) : end(executor, pidfd.Release()), limit(executor) {}
  asio::posix::stream_descriptor end;
  asio::steady_timer limit;
  bool overdue = false;
};

// Returns when the hook has ended, or at its time-out. timeout_seconds 0: no time-out.
asio::awaitable<Result<>> AwaitHook(asio::any_io_executor executor, RunningHook& hook, int64_t timeout_seconds) {
  CO_TRY_ASSIGN(UniqueFd pidfd, OpenPidfd(hook.pid()));
  auto wait = std::make_shared<Wait>(executor, std::move(pidfd));
  if (timeout_seconds > 0) {
    wait->limit.expires_after(std::chrono::seconds(timeout_seconds));
    wait->limit.async_wait([wait](const boost::system::error_code& error) {
      if (error) return;
      wait->overdue = true;
      wait->end.cancel();
    });
  }
  co_await wait->end.async_wait(asio::posix::descriptor_base::wait_read, kAwait);
  wait->limit.cancel();
  if (wait->overdue) co_return hook.Overdue(timeout_seconds);
  co_return hook.Conclude();
}

bool HasHooksOfHost(const grpc::Hooks& hooks) {
  return hooks.prestart_size() + hooks.createruntime_size() + hooks.createcontainer_size() + hooks.poststart_size() +
             hooks.poststop_size() >
         0;
}

}  // namespace

void HostHooks::Note(const std::string& id, const oci::Bundle& bundle) {
  if (!HasHooksOfHost(bundle.spec.hooks())) return;
  Of& of = containers_[id];
  of.hooks = bundle.spec.hooks();
  of.state.id = id;
  of.state.oci_version = bundle.oci_version;
  of.state.bundle = bundle.path;
  of.state.rootfs = bundle.rootfs;
  of.environment.assign(bundle.spec.process().env().begin(), bundle.spec.process().env().end());
  of.state.annotations = bundle.annotations;
}

asio::awaitable<Result<>> HostHooks::Created(std::string id) {
  const auto found = containers_.find(id);
  if (found == containers_.end()) co_return Result<>();
  Vm& vm = sandbox_->vm();
  co_await vm.vm_settled().Wait();
  const std::vector<pid_t> pids = vm.hypervisor().Pids();
  if (pids.empty()) {
    // The VM has not started: Ready returns the reason.
    CO_TRY(co_await vm.Ready());
    co_return Fail(Code::kInternal, "hooks need the VMM's pid, and the hypervisor names none");
  }
  found->second.state.standin.pid = pids.front();
  const Of of = found->second;
  const std::string path = fmt::format("/proc/{}/ns/net", pids.front());
  CO_TRY_ASSIGN(const UniqueFd network, sandbox_->mounts().OnHost([&path] { return Open(path, O_RDONLY); }));
  const std::string state = HookState(of.state, Status::kCreating);
  auto hosts = std::make_shared<Place>();
  hosts->state = state;
  hosts->directory = of.state.bundle;
  CO_TRY(co_await Run("prestart", of.hooks.prestart(), hosts));
  CO_TRY(co_await Run("createRuntime", of.hooks.createruntime(), hosts));
  auto containers = std::make_shared<Place>();
  containers->state = state;
  containers->directory = of.state.rootfs;
  containers->network_namespace = network.get();
  containers->environment = of.environment;
  co_return co_await Run("createContainer", of.hooks.createcontainer(), containers);
}

asio::awaitable<Result<>> HostHooks::Started(std::string id) {
  const auto found = containers_.find(id);
  if (found == containers_.end()) co_return Result<>();
  const Of of = found->second;
  const std::string state = HookState(of.state, Status::kRunning);
  auto place = std::make_shared<Place>();
  place->state = state;
  place->directory = of.state.bundle;
  co_return co_await Run("poststart", of.hooks.poststart(), place);
}

asio::awaitable<void> HostHooks::Stopped(std::string id) {
  const auto found = containers_.extract(id);
  if (found.empty()) co_return;
  const Of& of = found.mapped();
  const std::string state = HookState(of.state, Status::kStopped);
  auto place = std::make_shared<Place>();
  place->state = state;
  place->directory = of.state.bundle;
  for (const grpc::Hook& hook : of.hooks.poststop()) {
    HookList one;
    *one.Add() = hook;
    auto run = co_await Run("poststop", one, place);
    if (!run) log::Warn("{}", run.error().message());
  }
}

asio::awaitable<Result<>> HostHooks::Run(const char* kind, HookList hooks, std::shared_ptr<const Place> place) {
  const MountNamespaces& mounts = sandbox_->mounts();
  for (int i = 0; i < hooks.size(); ++i) {
    auto started = mounts.OnHost([&]() -> Result<RunningHook> {
      const auto directory = Open(place->directory, O_PATH | O_DIRECTORY);
      return RunningHook::Start(hooks[i], {.state = place->state,
                                           .working_directory = directory ? directory->get() : -1,
                                           .network_namespace = place->network_namespace,
                                           .environment = place->environment ? &*place->environment : nullptr});
    });
    CO_TRY_ASSIGN(RunningHook hook, Context(std::move(started), "error running {} hook #{}", kind, i));
    auto ended = co_await AwaitHook(sandbox_->executor(), hook, hooks[i].timeout());
    CO_TRY(Context(std::move(ended), "error running {} hook #{}", kind, i));
  }
  co_return Result<>();
}

}  // namespace kata::sandbox
