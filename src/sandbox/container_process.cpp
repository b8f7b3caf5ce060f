// SPDX-License-Identifier: Apache-2.0
#include "sandbox/container_process.h"

#include <signal.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <ctime>

#include "base/coroutine.h"
#include "base/log.h"

namespace kata::sandbox {
namespace {

constexpr size_t kMaxPendingSignals = 64;
// How long the exit of a killed process waits for its last output.
constexpr std::chrono::milliseconds kLastOutputTimeOfKilled{1000};

asio::awaitable<void> PassOnSignal(std::shared_ptr<AgentClient> agent, AgentProcess process, int signal) {
  auto sent = co_await agent->SignalProcess(process, static_cast<uint32_t>(signal));
  if (!sent) log::Debug("signal {} did not reach {}: {}", signal, process.exec, sent.error().message());
}

asio::awaitable<void> PassOnSize(std::shared_ptr<AgentClient> agent, AgentProcess process, uint32_t rows,
                                 uint32_t columns) {
  auto resized = co_await agent->TtyWinResize(process, rows, columns);
  if (!resized) log::Debug("the terminal of {} keeps its size: {}", process.exec, resized.error().message());
}

}  // namespace

std::shared_ptr<ContainerProcess> ContainerProcess::Create(const asio::any_io_executor& executor, Setup setup) {
  std::shared_ptr<ContainerProcess> process(new ContainerProcess(executor, std::move(setup)));
  if (process->setup_.standin) {
    // Weak: the process owns the stand-in, so that a strong pointer would be a cycle.
    std::weak_ptr<ContainerProcess> weak = process;
    Standin::Handlers handlers;
    handlers.on_signal = [weak](int signal, bool all) {
      const auto self = weak.lock();
      if (self && all) self->SignalAll(signal);
      if (self && !all) self->Signal(signal);
    };
    handlers.on_resize = [weak](uint32_t rows, uint32_t columns) {
      if (auto self = weak.lock()) self->Resize(rows, columns);
    };
    handlers.on_gone = [weak] {
      if (auto self = weak.lock()) self->Signal(SIGKILL);
    };
    process->setup_.standin->Attach(std::move(handlers));
  }
  if (process->setup_.foreground) {
    process->foreground_.assign(process->setup_.foreground.Release());
    asio::co_spawn(executor, WatchForeground(process), asio::detached);
  }
  return process;
}

asio::awaitable<void> ContainerProcess::WatchForeground(std::shared_ptr<ContainerProcess> self) {
  auto [error] = co_await self->foreground_.async_wait(asio::posix::descriptor_base::wait_read, kAwait);
  // As with runc, which holds the terminal's master: its death is a hang-up.
  if (!error) self->setup_.stdio->HangUp();
}

AgentProcess ContainerProcess::agent_process() const {
  return {.container = setup_.container, .exec = setup_.exec.empty() ? setup_.container : setup_.exec};
}

pid_t ContainerProcess::pid() const {
  if (setup_.standin) return setup_.standin->pid();
  return setup_.vmm > 0 ? setup_.vmm : getpid();
}

void ContainerProcess::MarkRunning() {
  // The process may have ended before the reply to its start arrived.
  if (status_ == Status::kCreated) status_ = Status::kRunning;
}

void ContainerProcess::Follow(std::shared_ptr<AgentClient> agent) {
  if (status_ == Status::kStopped) return;
  agent_ = std::move(agent);
  setup_.stdio->Start(agent_, agent_process());
  asio::co_spawn(executor_, WaitForEnd(shared_from_this()), asio::detached);
  if (auto size = std::exchange(pending_size_, std::nullopt)) Resize(size->first, size->second);
  for (int signal : std::exchange(pending_signals_, {})) Send(signal);
}

asio::awaitable<void> ContainerProcess::WaitForEnd(std::shared_ptr<ContainerProcess> self) {
  auto status = co_await self->agent_->WaitProcess(self->agent_process());
  if (!status) {
    // Whatever the reason, nothing more can be known of the process. Vm::WatchConnection notices a broken connection.
    if (self->agent_->connection().closed()) co_return;
    self->agent_->ReportFault("the agent cannot tell how a process ended: " + status.error().message());
    co_return;
  }
  if (self->status_ == Status::kStopped) co_return;
  self->KeepExit(*status);
  self->exited_.Happen();
  self->setup_.stdio->EndInput();
  co_await self->setup_.stdio->Drain(self->killed_ ? kLastOutputTimeOfKilled : kLastOutputTime);
  // Other processes in the container may still write; Stdio continues to pass that on.
  self->Conclude();
}

void ContainerProcess::ExpectEnd() {
  if (!agent_ || std::exchange(killed_, true) || !setup_.kill_patience) return;
  asio::co_spawn(executor_, WatchKill(shared_from_this()), asio::detached);
}

asio::awaitable<void> ContainerProcess::WatchKill(std::shared_ptr<ContainerProcess> self) {
  Patience patience = self->setup_.kill_patience();
  while (!self->exited_.happened()) {
    const auto next = patience.Next();
    if (next.count() == 0) break;
    co_await self->exited_.WaitFor(next);
  }
  if (self->exited_.happened()) co_return;
  self->agent_->ReportFault(fmt::format("the virtual machine hangs: {} has not ended after SIGKILL {}",
                                        self->agent_process().exec, patience.Text()));
}

void ContainerProcess::KeepExit(int status) {
  if (std::exchange(has_exit_status_, true)) return;
  exit_status_ = status;
  clock_gettime(CLOCK_REALTIME, &exited_at_);
}

void ContainerProcess::End(int status) {
  if (status_ == Status::kStopped) return;
  KeepExit(status);
  setup_.stdio->Stop();
  Conclude();
}

void ContainerProcess::Conclude() {
  if (status_ == Status::kStopped) return;
  status_ = Status::kStopped;
  exited_.Happen();
  boost::system::error_code ignored;
  foreground_.close(ignored);
  if (setup_.on_end) setup_.on_end(*this);
  if (setup_.standin) setup_.standin->SendExit(exit_status_);
  ended_.Happen();
}

void ContainerProcess::Signal(int signal) {
  if (status_ == Status::kStopped) return;
  if (agent_) {
    Send(signal);
  } else if (signal == SIGKILL && !begun_) {
    End(kKilledStatus);
  } else if (pending_signals_.size() < kMaxPendingSignals || signal == SIGKILL) {
    pending_signals_.push_back(signal);
  }
}

void ContainerProcess::SignalAll(int signal) {
  if (!setup_.exec.empty()) return;
  if (!agent_ || signal == SIGKILL) return Signal(signal);
  if (status_ == Status::kStopped) return;
  // Without a name of a process it is for all of them.
  const AgentProcess all{.container = setup_.container, .exec = ""};
  asio::co_spawn(executor_, PassOnSignal(agent_, all, signal), asio::detached);
}

void ContainerProcess::Resize(uint32_t rows, uint32_t columns) {
  if (status_ == Status::kStopped) return;
  if (agent_) {
    asio::co_spawn(executor_, PassOnSize(agent_, agent_process(), rows, columns), asio::detached);
  } else {
    pending_size_ = {rows, columns};
  }
}

void ContainerProcess::Send(int signal) {
  if (signal == SIGKILL) ExpectEnd();
  asio::co_spawn(executor_, PassOnSignal(agent_, agent_process(), signal), asio::detached);
}

}  // namespace kata::sandbox
