// SPDX-License-Identifier: Apache-2.0
#include "agent/process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "agent/reaper.h"
#include "base/log.h"

namespace kata::agent {

namespace {

struct Pipe {
  UniqueFd read;
  UniqueFd write;
};

Result<Pipe> MakePipe(uint32_t size) {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) < 0) return FailErrno("cannot make a pipe for the process");
  Pipe pipe{UniqueFd(fds[0]), UniqueFd(fds[1])};
  if (size > 0 && ::fcntl(fds[0], F_SETPIPE_SZ, static_cast<int>(size)) < 0) {
    return FailErrno("cannot make a pipe of {} bytes (agent.container_pipe_size)", size);
  }
  return pipe;
}

}  // namespace

Result<Pipes> MakePipes(bool terminal, uint32_t rows, uint32_t columns, uint32_t pipe_size) {
  Pipes pipes;
  pipes.child.terminal = terminal;
  pipes.child.rows = rows;
  pipes.child.columns = columns;
  if (terminal) return pipes;
  auto in = TRY(MakePipe(pipe_size));
  const uint32_t output_size = pipe_size > 0 ? pipe_size : kMaxRead;
  auto out = TRY(MakePipe(output_size));
  auto err = TRY(MakePipe(output_size));
  pipes.child.stdin_read = std::move(in.read);
  pipes.child.stdout_write = std::move(out.write);
  pipes.child.stderr_write = std::move(err.write);
  pipes.stdin_write = std::move(in.write);
  pipes.stdout_read = std::move(out.read);
  pipes.stderr_read = std::move(err.read);
  return pipes;
}

Process::Process(const asio::any_io_executor& executor, pid_t pid, UniqueFd pidfd)
    : pid_(pid), pidfd_(std::move(pidfd)), ended_(executor) {}

Result<std::shared_ptr<Process>> Process::Adopt(const asio::any_io_executor& executor, StartedProcess started,
                                                Pipes pipes) {
  Reaper::Get().Claim(started.pid);
  std::shared_ptr<Process> process(new Process(executor, started.pid, std::move(started.pidfd)));
  // Starts before the streams are opened, so that the process is reaped even if they cannot be.
  asio::co_spawn(executor, Watch(process), asio::detached);
  auto open = [&]() -> Result<> {
    if (started.terminal.valid()) {
      // Each direction needs a descriptor of its own to wait on in the reactor.
      UniqueFd copy(::fcntl(started.terminal.get(), F_DUPFD_CLOEXEC, 0));
      if (!copy) return FailErrno("cannot copy the terminal");
      process->stdin_ = TRY(InputStream::Create(executor, std::move(copy), /*terminal=*/true));
      process->stdout_ = TRY(OutputStream::Create(executor, std::move(started.terminal)));
      return {};
    }
    process->stdin_ = TRY(InputStream::Create(executor, std::move(pipes.stdin_write), /*terminal=*/false));
    process->stdout_ = TRY(OutputStream::Create(executor, std::move(pipes.stdout_read)));
    process->stderr_ = TRY(OutputStream::Create(executor, std::move(pipes.stderr_read)));
    return {};
  };
  auto opened = open();
  if (!opened) {
    (void)process->Signal(SIGKILL);
    return tl::unexpected<Error>(std::move(opened).error());
  }
  return process;
}

asio::awaitable<void> Process::Watch(std::shared_ptr<Process> self) {
  auto status = co_await Reaper::Get().Wait(self->pid_);
  if (!status) log::Error("the status of a process is lost: {}", status.error().message());
  self->status_ = status ? status->Shell() : 255;
  self->pidfd_.Reset();
  if (self->stdin_) self->stdin_->OnExit();
  if (self->stdout_) self->stdout_->OnExit();
  if (self->stderr_) self->stderr_->OnExit();
  self->ended_.Notify();
}

Result<> Process::Signal(int signal) {
  if (status_) return Fail(Code::kNotFound, "process {} has already ended", pid_);
  if (::syscall(SYS_pidfd_send_signal, pidfd_.get(), signal, nullptr, 0) < 0) {
    if (errno == ESRCH) return Fail(Code::kNotFound, "process {} has already ended", pid_);
    return FailErrno("cannot send signal {} to process {}", signal, pid_);
  }
  return {};
}

asio::awaitable<int> Process::Wait() {
  auto self = shared_from_this();
  while (!status_) co_await ended_.Wait();
  answered_ = true;
  co_return *status_;
}

asio::awaitable<Result<OutputStream::Piece>> Process::ReadFrom(std::shared_ptr<OutputStream> stream, size_t length,
                                                               bool past_exit) {
  if (!stream) co_return OutputStream::Piece();
  co_return co_await stream->Read(length, past_exit);
}

asio::awaitable<Result<OutputStream::Piece>> Process::ReadStdout(size_t length, bool past_exit) {
  // length 0: the reader has gone. A terminal is hung up only when both descriptors of its master are closed.
  if (length == 0 && !stderr_ && stdin_) stdin_->OnExit();
  return ReadFrom(stdout_, length, past_exit);
}

asio::awaitable<Result<OutputStream::Piece>> Process::ReadStderr(size_t length, bool past_exit) {
  return ReadFrom(stderr_, length, past_exit);
}

asio::awaitable<Result<>> Process::WriteStdin(std::string data) { return stdin_->Write(std::move(data)); }

asio::awaitable<Result<>> Process::AwaitStdinClosed() { return stdin_->AwaitClosed(); }

void Process::CloseStdin() { stdin_->Close(); }

Result<> Process::Resize(uint32_t rows, uint32_t columns) { return stdin_->Resize(rows, columns); }

bool Process::Done() const { return status_ && answered_ && stdout_->finished() && (!stderr_ || stderr_->finished()); }

void Process::CloseStreams() {
  stdin_->OnExit();
  stdout_->Close();
  if (stderr_) stderr_->Close();
}

}  // namespace kata::agent
