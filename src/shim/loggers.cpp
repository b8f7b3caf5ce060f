// SPDX-License-Identifier: Apache-2.0
#include "shim/loggers.h"

#include <signal.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <chrono>
#include <vector>

#include "base/log.h"

namespace kata::shim {
namespace {

// Time allowed for a logger's last lines, and then after SIGTERM. Together these are the 12 s of runc's shim.
constexpr std::chrono::milliseconds kLastLines{10000};
constexpr std::chrono::milliseconds kTerminate{2000};

}  // namespace

void Loggers::Add(std::string container, std::string exec, Child program) {
  std::shared_ptr<Logger> logger(new Logger{.container = std::move(container),
                                            .exec = std::move(exec),
                                            .program = std::move(program),
                                            .ended = Event(executor_)});
  running_.push_back(logger);
  asio::co_spawn(executor_, Watch(shared_from_this(), std::move(logger)), asio::detached);
}

asio::awaitable<void> Loggers::Watch(std::shared_ptr<Loggers> self, std::shared_ptr<Logger> logger) {
  // A pidfd of its own, because Asio makes the descriptor non-blocking, and waitid(2) on it would not wait.
  if (auto pidfd = OpenPidfd(logger->program.pid())) {
    asio::posix::stream_descriptor descriptor(self->executor_, pidfd->Release());
    co_await descriptor.async_wait(asio::posix::descriptor_base::wait_read, kAwait);
    const auto status = logger->program.Wait();
    if (status && status->Shell() != 0) {
      log::Warn("the logger of {} {}", logger->exec.empty() ? logger->container : logger->exec, status->Describe());
    }
  } else {
    log::Error("a logger cannot be watched: {}", pidfd.error().message());
  }
  self->running_.remove(logger);
  logger->ended.Happen();
}

asio::awaitable<void> Loggers::End(std::shared_ptr<Logger> logger) {
  co_await logger->ended.WaitFor(kLastLines);
  for (const int signal : {SIGTERM, SIGKILL}) {
    if (logger->ended.happened()) co_return;
    log::Warn("the logger of {} goes on: signal {}", logger->container, signal);
    std::ignore = logger->program.Signal(signal);
    co_await logger->ended.WaitFor(kTerminate);
  }
}

asio::awaitable<void> Loggers::Finish(std::string container, std::string exec) {
  const auto self = shared_from_this();
  const std::vector<std::shared_ptr<Logger>> running(self->running_.begin(), self->running_.end());
  for (const auto& logger : running) {
    if (logger->container == container && logger->exec == exec) co_await End(logger);
  }
}

asio::awaitable<void> Loggers::FinishAll() {
  const auto self = shared_from_this();
  const std::vector<std::shared_ptr<Logger>> running(self->running_.begin(), self->running_.end());
  // Ends all of them at the same time.
  for (const auto& logger : running) asio::co_spawn(executor_, End(logger), asio::detached);
  for (const auto& logger : running) co_await logger->ended.WaitFor(kLastLines + 3 * kTerminate);
}

}  // namespace kata::shim
