// SPDX-License-Identifier: Apache-2.0
// The events that the Task service sends to containerd.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <map>

#include "base/coroutine.h"
#include "base/log.h"
#include "sandbox/task/task_service.h"

namespace kata::sandbox {

namespace events = containerd::events;
namespace {

// One event in this time for each container is as much as anybody can act on.
constexpr std::chrono::milliseconds kOomPause{1000};
constexpr std::chrono::milliseconds kOomPoll{10};

}  // namespace

void TaskService::AnnounceCreate(const task::CreateTaskRequest& request, const ContainerProcess& process) {
  // One watch is enough: the agent reports for all containers of the guest.
  if (!watches_oom_) asio::co_spawn(sandbox_->executor(), WatchOom(sandbox_, interface_.events), asio::detached);
  watches_oom_ = true;
  if (!interface_.events) return;
  events::TaskCreate event;
  event.set_container_id(request.id());
  event.set_bundle(request.bundle());
  *event.mutable_rootfs() = request.rootfs();
  event.mutable_io()->set_stdin(request.stdin());
  event.mutable_io()->set_stdout(request.stdout());
  event.mutable_io()->set_stderr(request.stderr());
  event.mutable_io()->set_terminal(request.terminal());
  event.set_pid(static_cast<uint32_t>(process.pid()));
  Announce(event);
}

void TaskService::AnnounceDelete(const task::DeleteResponse& reply, const std::string& container) {
  events::TaskDelete event;
  event.set_container_id(container);
  event.set_pid(reply.pid());
  event.set_exit_status(reply.exit_status());
  *event.mutable_exited_at() = reply.exited_at();
  Announce(event);
}

void TaskService::AnnounceExit(const ContainerProcess& process) {
  if (!interface_.events) return;
  // An exec that was deleted before it was started has no exit.
  if (!process.begun()) return;
  events::TaskExit event;
  event.set_container_id(process.container());
  event.set_id(process.agent_process().exec);
  event.set_pid(static_cast<uint32_t>(process.pid()));
  event.set_exit_status(static_cast<uint32_t>(process.exit_status()));
  event.mutable_exited_at()->set_seconds(process.exited_at_seconds());
  event.mutable_exited_at()->set_nanos(process.exited_at_nanoseconds());
  if (auto held = held_exits_.find(&process); held != held_exits_.end()) {
    held->second = MakeEvent(event);
  } else {
    Announce(event);
  }
}

void TaskService::HoldExit(const ContainerProcess& process) { held_exits_.try_emplace(&process); }

void TaskService::AnnounceStart(const ContainerProcess& process, bool started) {
  auto held = held_exits_.extract(&process);
  if (!interface_.events) return;
  if (started && process.exec().empty()) {
    events::TaskStart event;
    event.set_container_id(process.container());
    event.set_pid(static_cast<uint32_t>(process.pid()));
    Announce(event);
  } else if (started) {
    events::TaskExecStarted event;
    event.set_container_id(process.container());
    event.set_exec_id(process.exec());
    event.set_pid(static_cast<uint32_t>(process.pid()));
    Announce(event);
  }
  // An exec that never ran has no exit event: its caller gets the error.
  if ((started || process.exec().empty()) && !held.empty() && held.mapped())
    interface_.events(*std::move(held.mapped()));
}

void TaskService::TellNews(Container& container) {
  std::exchange(container.news, Event(container.news.executor())).Happen();
}

asio::awaitable<void> TaskService::WatchOom(std::shared_ptr<Sandbox> sandbox, TaskEventSink events) {
  using Clock = std::chrono::steady_clock;
  auto agent = sandbox->vm().agent();
  asio::steady_timer pause(sandbox->executor());
  std::map<std::string, Clock::time_point> told;
  while (true) {
    auto container = co_await agent->GetOomEvent();
    if (!container) co_return;
    const auto now = Clock::now();
    std::erase_if(told, [&](const auto& each) { return now - each.second >= kOomPause; });
    const auto found = sandbox->containers().find(*container);
    if (found == sandbox->containers().end() || told.contains(*container)) {
      // Paces a guest that only repeats itself. News of other containers wait behind it no longer than this.
      pause.expires_after(kOomPoll);
      co_await pause.async_wait(kAwait);
      continue;
    }
    told[*container] = now;
    log::Warn("container {}: a process was killed for want of memory", *container);
    ++found->second->oom_kills;
    TellNews(*found->second);
    if (!events) continue;
    events::TaskOOM event;
    event.set_container_id(*container);
    events(MakeEvent(event));
  }
}

}  // namespace kata::sandbox
