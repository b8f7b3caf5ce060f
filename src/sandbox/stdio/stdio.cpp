// SPDX-License-Identifier: Apache-2.0
#include "sandbox/stdio/stdio.h"

#include <fcntl.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "base/coroutine.h"
#include "base/files.h"
#include "base/log.h"

namespace kata::sandbox {
namespace {

constexpr size_t kInputChunk = 64U << 10U;

// When those are let in who open a FIFO after its writer has gone: soon, then ever less often.
constexpr std::chrono::milliseconds kFirstLateReader{10};
constexpr std::chrono::milliseconds kLastLateReader{60000};

const char* Name(OutputStream stream) { return stream == OutputStream::kStdout ? "stdout" : "stderr"; }

}  // namespace

Result<std::shared_ptr<Stdio>> Stdio::Create(const asio::any_io_executor& executor, StdioFds fds, bool terminal,
                                             StdioTraits traits) {
  std::shared_ptr<Stdio> stdio(new Stdio(executor, terminal));
  stdio->keepers_ = std::move(traits.keepers);
  const auto open = traits.own ? ForeignFd::OpenOwn : ForeignFd::Open;
  if (fds[0]) stdio->stdin_ = TRY(open(executor, std::move(fds[0]), ForeignFd::Direction::kRead));
  if (fds[1]) stdio->stdout_ = TRY(open(executor, std::move(fds[1]), ForeignFd::Direction::kWrite));
  if (fds[2] && !terminal) stdio->stderr_ = TRY(open(executor, std::move(fds[2]), ForeignFd::Direction::kWrite));
  return stdio;
}

void Stdio::Start(std::shared_ptr<AgentClient> agent, AgentProcess process) {
  agent_ = std::move(agent);
  process_ = std::move(process);
  outputs_ = terminal_ ? 1 : 2;
  asio::co_spawn(executor_, PumpOutput(shared_from_this(), OutputStream::kStdout), asio::detached);
  if (!terminal_) {
    asio::co_spawn(executor_, PumpOutput(shared_from_this(), OutputStream::kStderr), asio::detached);
  }
  asio::co_spawn(executor_, PumpInput(shared_from_this()), asio::detached);
  if (hung_up_) asio::co_spawn(executor_, CloseTerminal(shared_from_this()), asio::detached);
}

asio::awaitable<void> Stdio::PumpOutput(std::shared_ptr<Stdio> self, OutputStream stream) {
  std::shared_ptr<ForeignFd>& sink = stream == OutputStream::kStdout ? self->stdout_ : self->stderr_;
  auto copied = co_await CopyOutput(self, stream, sink);
  // Readers see the end now, whatever the rest of the process's life is.
  sink.reset();
  if (!copied && !self->stopped_) {
    log::Debug("{} of {} ends early: {}", Name(stream), self->process_.exec, copied.error().message());
  }
  if (--self->outputs_ > 0) co_return;
  self->output_ended_.Happen();
  if (!self->keepers_.empty()) asio::co_spawn(self->executor_, LetLateReadersIn(self->executor_, self), asio::detached);
}

asio::awaitable<void> Stdio::LetLateReadersIn(asio::any_io_executor executor, std::weak_ptr<Stdio> weak) {
  asio::steady_timer timer(executor);
  for (auto wait = kFirstLateReader; wait < kLastLateReader; wait *= 2) {
    timer.expires_after(wait);
    co_await timer.async_wait(kAwait);
    auto self = weak.lock();
    if (!self) co_return;
    for (const UniqueFd& keeper : self->keepers_) (void)Open(FdPath(keeper.get()), O_WRONLY | O_NONBLOCK);
  }
}

// A piece of output that is on its way.
struct Stdio::Chunk {
  explicit Chunk(const asio::any_io_executor& executor) : arrived(executor) {}
  Event arrived;
  Result<std::string> data;
};

std::shared_ptr<Stdio::Chunk> Stdio::Pull(OutputStream stream) {
  auto chunk = std::make_shared<Chunk>(executor_);
  asio::co_spawn(executor_, agent_->ReadOutput(process_, stream),
                 [chunk](std::exception_ptr, Result<std::string> data) {
                   chunk->data = std::move(data);
                   chunk->arrived.Happen();
                 });
  return chunk;
}

asio::awaitable<Result<>> Stdio::CopyOutput(std::shared_ptr<Stdio> self, OutputStream stream,
                                            std::shared_ptr<ForeignFd> sink) {
  ForeignFd::Progress progress = [self](size_t count) { self->progress_ += count; };
  auto next = self->Pull(stream);
  while (!self->stopped_) {
    co_await next->arrived.Wait();
    CO_TRY_ASSIGN(std::string data, std::move(next->data));
    if (data.empty()) break;
    // The guest gets the next one ready while this one is written.
    next = self->Pull(stream);
    self->progress_ += data.size();
    if (!sink) continue;
    auto written = co_await sink->Write(std::move(data), progress);
    if (!written && !self->stopped_) {
      // The container learns of it as on a host: SIGPIPE at its next write.
      (void)co_await self->agent_->CloseOutput(self->process_, stream);
    }
    CO_TRY(written);
  }
  co_return Result<>();
}

asio::awaitable<void> Stdio::PumpInput(std::shared_ptr<Stdio> self) {
  if (self->stdin_) {
    auto copied = co_await CopyInput(self);
    if (!copied) log::Debug("stdin of {} ends early: {}", self->process_.exec, copied.error().message());
  }
  if (self->stopped_) co_return;
  if (self->terminal_) {
    // A terminal has no end of stdin that could be closed without hanging up. A process that prints nothing would never
    // notice that its reader has gone.
    if (self->stdin_ && self->stdin_->HungUp()) self->HangUp();
    co_return;
  }
  // That the process may be gone by now, and the agent know nothing of it, is fine.
  (void)co_await self->agent_->CloseStdin(self->process_);
}

asio::awaitable<Result<>> Stdio::CopyInput(std::shared_ptr<Stdio> self) {
  while (!self->stopped_) {
    CO_TRY_ASSIGN(std::string data, co_await self->stdin_->Read(kInputChunk));
    if (data.empty()) break;
    while (!data.empty() && !self->stopped_) {
      CO_TRY_ASSIGN(size_t taken, co_await self->agent_->WriteStdin(self->process_, data));
      data.erase(0, taken);
    }
  }
  co_return Result<>();
}

asio::awaitable<void> Stdio::Drain(std::chrono::milliseconds stalled) {
  auto self = shared_from_this();
  while (!output_ended_.happened()) {
    size_t before = progress_;
    co_await output_ended_.WaitFor(stalled);
    if (!output_ended_.happened() && progress_ == before) {
      log::Warn("the output of {} is not being read: what is left of it is dropped", process_.exec);
      co_return;
    }
  }
}

void Stdio::Stop() {
  stopped_ = true;
  for (const auto& foreign : {stdin_, stdout_, stderr_}) {
    if (foreign) foreign->Cancel();
  }
  if (agent_) return;
  // It never ran: whoever waits at the other ends is told so.
  stdin_.reset();
  stdout_.reset();
  stderr_.reset();
  keepers_.clear();
}

void Stdio::HangUp() {
  if (!terminal_ || stopped_ || std::exchange(hung_up_, true)) return;
  if (agent_) asio::co_spawn(executor_, CloseTerminal(shared_from_this()), asio::detached);
}

asio::awaitable<void> Stdio::CloseTerminal(std::shared_ptr<Stdio> self) {
  // The agent's side of it is the master: with that closed, the kernel does the rest.
  (void)co_await self->agent_->CloseOutput(self->process_, OutputStream::kStdout);
}

void Stdio::CloseStdin() {
  if (stdin_) stdin_->Finish();
}

}  // namespace kata::sandbox
