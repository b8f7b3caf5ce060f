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
// More than a process's pipes hold, with the data in transit, unless somebody has enlarged a pipe beyond the limit for
// unprivileged users.
constexpr size_t kLastOutputBytes = 4U << 20U;

// Pauses of LetLateReadersIn: each is twice as long as the one before.
constexpr std::chrono::milliseconds kFirstLateReader{10};
constexpr std::chrono::milliseconds kLastLateReader{60000};

const char* Name(OutputName stream) { return stream == OutputName::kStdout ? "stdout" : "stderr"; }

size_t Index(OutputName stream) { return stream == OutputName::kStdout ? 0 : 1; }

}  // namespace

Result<std::shared_ptr<Stdio>> Stdio::Create(const asio::any_io_executor& executor, StdioFds fds, bool terminal,
                                             StdioTraits traits) {
  std::shared_ptr<Stdio> stdio(new Stdio(executor, terminal));
  stdio->keepers_ = std::move(traits.keepers);
  stdio->until_end_ = std::move(traits.until_end);
  const auto open = traits.own ? ForeignFd::OpenOwn : ForeignFd::Open;
  if (fds[0]) stdio->stdin_ = TRY(open(executor, std::move(fds[0]), ForeignFd::Direction::kRead));
  if (fds[1]) stdio->stdout_ = TRY(open(executor, std::move(fds[1]), ForeignFd::Direction::kWrite));
  if (fds[2] && !terminal) stdio->stderr_ = TRY(open(executor, std::move(fds[2]), ForeignFd::Direction::kWrite));
  return stdio;
}

void Stdio::Start(std::shared_ptr<AgentClient> agent, AgentProcess process) {
  agent_ = std::move(agent);
  process_ = std::move(process);
  outputs_ = unsettled_ = terminal_ ? 1 : 2;
  asio::co_spawn(executor_, PumpOutput(shared_from_this(), OutputName::kStdout), asio::detached);
  if (!terminal_) {
    asio::co_spawn(executor_, PumpOutput(shared_from_this(), OutputName::kStderr), asio::detached);
  }
  asio::co_spawn(executor_, PumpInput(shared_from_this()), asio::detached);
  if (hung_up_) asio::co_spawn(executor_, CloseOutput(agent_, process_, OutputName::kStdout), asio::detached);
}

asio::awaitable<void> Stdio::PumpOutput(std::shared_ptr<Stdio> self, OutputName stream) {
  std::shared_ptr<ForeignFd>& sink = stream == OutputName::kStdout ? self->stdout_ : self->stderr_;
  auto copied = co_await CopyOutput(self, stream, sink);
  // Closes the descriptor: its readers see the end now, however long the process lives on.
  sink.reset();
  if (!copied && !self->stopped_) {
    log::Debug("{} of {} ends early: {}", Name(stream), self->process_.exec, copied.error().message());
  }
  self->pulled_[Index(stream)].reset();
  self->Settle(stream);
  if (--self->outputs_ > 0) co_return;
  self->until_end_.Reset();
  self->ended_.Happen();
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

// A reply of ReadOutput that is awaited.
struct Stdio::Chunk {
  explicit Chunk(const asio::any_io_executor& executor) : arrived(executor) {}
  Event arrived;
  Result<OutputPiece> piece;
};

std::shared_ptr<Stdio::Chunk> Stdio::Pull(OutputName stream) {
  auto chunk = std::make_shared<Chunk>(executor_);
  asio::co_spawn(executor_, agent_->ReadOutput(process_, stream),
                 [chunk](std::exception_ptr, Result<OutputPiece> piece) {
                   chunk->piece = std::move(piece);
                   chunk->arrived.Happen();
                 });
  pulled_[Index(stream)] = chunk;
  return chunk;
}

void Stdio::Settle(OutputName stream) {
  if (std::exchange(is_settled_[Index(stream)], true)) return;
  if (--unsettled_ == 0) settled_.Happen();
}

void Stdio::CountOutput(size_t size) {
  if (!draining_) return;
  drained_ += size;
  if (drained_ > kLastOutputBytes) settled_.Happen();
}

asio::awaitable<Result<>> Stdio::CopyOutput(std::shared_ptr<Stdio> self, OutputName stream,
                                            std::shared_ptr<ForeignFd> sink) {
  ForeignFd::Progress count = [self](size_t written) { self->CountOutput(written); };
  if (self->stopped_) co_return Result<>();
  bool held = false;
  auto next = self->Pull(stream);
  while (true) {
    co_await next->arrived.Wait();
    if (self->stopped_) break;
    CO_TRY_ASSIGN(OutputPiece piece, std::move(next->piece));
    const size_t size = piece.data.size();
    // `held` comes once. An agent that repeats it without data is at fault, and the stream ends.
    if (size == 0 && (!piece.held || std::exchange(held, true))) break;
    // The guest prepares the next chunk while this one is written.
    next = self->Pull(stream);
    if (size == 0) self->Settle(stream);
    if (size == 0 || !sink) {
      self->CountOutput(size);
      continue;
    }
    auto written = co_await sink->Write(std::move(piece.data), count);
    if (!written && !self->stopped_) {
      // The container learns of it as it would on the host: by SIGPIPE at its next write.
      asio::co_spawn(self->executor_, CloseOutput(self->agent_, self->process_, stream), asio::detached);
    }
    CO_TRY(written);
  }
  co_return Result<>();
}

asio::awaitable<void> Stdio::PumpInput(std::shared_ptr<Stdio> self) {
  if (self->stdin_) {
    if (!self->terminal_) {
      asio::co_spawn(self->executor_, WatchReader(self->agent_, self->process_, self), asio::detached);
    }
    auto copied = co_await CopyInput(self);
    if (!copied && !self->input_ended_) {
      log::Debug("stdin of {} ends early: {}", self->process_.exec, copied.error().message());
    }
  }
  if (self->stopped_ || self->input_ended_) co_return;
  if (self->terminal_) {
    // stdin of a terminal cannot be closed without a hang-up. But after a hang-up of the caller's terminal, a process
    // that prints nothing would never notice that its reader has gone.
    if (self->stdin_ && self->stdin_->HungUp()) self->HangUp();
    co_return;
  }
  // Closes the descriptor: its writers see that nobody reads any more.
  self->stdin_.reset();
  // An error is no matter: the process may have gone, and the agent may not know it any more.
  (void)co_await self->agent_->CloseStdin(self->process_);
}

asio::awaitable<void> Stdio::WatchReader(std::shared_ptr<AgentClient> agent, AgentProcess process,
                                         std::weak_ptr<Stdio> weak) {
  // An error means that the process has gone, or that the agent does not know the call.
  if (!co_await agent->AwaitStdinClosed(std::move(process))) co_return;
  if (auto self = weak.lock()) self->EndInput();
}

asio::awaitable<Result<>> Stdio::CopyInput(std::shared_ptr<Stdio> self) {
  while (self->stdin_) {
    CO_TRY_ASSIGN(std::string data, co_await self->stdin_->Read(kInputChunk));
    if (data.empty()) break;
    while (!data.empty() && self->stdin_) {
      CO_TRY_ASSIGN(size_t taken, co_await self->agent_->WriteStdin(self->process_, data));
      data.erase(0, taken);
    }
  }
  co_return Result<>();
}

asio::awaitable<void> Stdio::Drain(std::chrono::milliseconds time) {
  auto self = shared_from_this();
  draining_ = true;
  co_await settled_.WaitFor(time);
  if (!settled_.happened()) {
    log::Warn("the last output of {} has not been read after {} ms: its exit does not wait for it", process_.exec,
              time.count());
  }
}

void Stdio::EndInput() {
  input_ended_ = true;
  if (!stdin_) return;
  stdin_->Cancel();
  stdin_.reset();
}

void Stdio::Stop() {
  if (std::exchange(stopped_, true)) return;
  EndInput();
  for (const auto& foreign : {stdout_, stderr_}) {
    if (foreign) foreign->Cancel();
  }
  if (agent_) {
    for (const OutputName stream : {OutputName::kStdout, OutputName::kStderr}) {
      const auto& chunk = pulled_[Index(stream)];
      const bool has_ended = !chunk && is_settled_[Index(stream)];
      if (has_ended || (terminal_ && stream == OutputName::kStderr)) continue;
      // Wakes the pump, which ends without the agent's reply.
      if (chunk) chunk->arrived.Happen();
      asio::co_spawn(executor_, CloseOutput(agent_, process_, stream), asio::detached);
    }
    return;
  }
  // The process never ran: closing everything tells whoever waits at the other ends.
  stdout_.reset();
  stderr_.reset();
  keepers_.clear();
  until_end_.Reset();
  settled_.Happen();
  ended_.Happen();
}

void Stdio::HangUp() {
  if (!terminal_ || stopped_ || std::exchange(hung_up_, true)) return;
  // The agent holds the terminal's master. When that is closed, the kernel hangs the terminal up.
  if (agent_) asio::co_spawn(executor_, CloseOutput(agent_, process_, OutputName::kStdout), asio::detached);
}

asio::awaitable<void> Stdio::CloseOutput(std::shared_ptr<AgentClient> agent, AgentProcess process, OutputName stream) {
  (void)co_await agent->CloseOutput(std::move(process), stream);
}

void Stdio::CloseStdin() {
  if (stdin_) stdin_->Finish();
}

}  // namespace kata::sandbox
