// SPDX-License-Identifier: Apache-2.0
#include "runtime/task.h"

#include <fcntl.h>
#include <google/protobuf/message_lite.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <exception>
#include <optional>

#include "base/log.h"
#include "rpc/client.h"
#include "rpc/unix_socket.h"
#include "sandbox/task/task_client.h"

namespace kata::runtime {

namespace asio = boost::asio;

struct Task::Impl {
  asio::io_context context{1};
  pid_t peer = 0;
  std::shared_ptr<rpc::Client> client;
};

Task::Task(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Task::Task(Task&& other) noexcept = default;
Task& Task::operator=(Task&& other) noexcept = default;
Task::~Task() = default;

Result<Task> Task::Connect(int directory) {
  log::Debug("connecting to the sandbox process");
  auto impl = std::make_unique<Impl>();
  UniqueFd connection = TRY(sandbox::ConnectTask(directory));
  if (const auto peer = rpc::PeerOf(connection.get())) impl->peer = peer->pid;
  impl->client = rpc::Client::Create(impl->context.get_executor(), std::move(connection));
  return Task(std::move(impl));
}

// PatienceWith includes descendants of the sandbox process, such as the VMM.
Patience Task::PatienceFor(std::chrono::milliseconds time) const {
  return PatienceWith({impl_->peer}, time, Patience::Kind::kAnswer);
}

Result<std::string> Task::CallRaw(const std::string& method, const google::protobuf::MessageLite& request,
                                  Patience patience, const Interrupts* interrupts) {
  log::Debug("asking the sandbox process: {}", method);
  const auto begun = std::chrono::steady_clock::now();
  std::optional<Result<std::string>> answer;
  asio::co_spawn(
      impl_->context,
      impl_->client->CallRaw(sandbox::kTaskService, method, request.SerializeAsString(), std::move(patience)),
      [&answer](const std::exception_ptr& failure, Result<std::string> reply) {
        if (failure) reply = Fail(Code::kInternal, "the call failed");
        answer = std::move(reply);
      });
  bool interrupted = false;
  asio::posix::stream_descriptor signals(impl_->context);
  if (interrupts != nullptr) {
    signals.assign(fcntl(interrupts->fd(), F_DUPFD_CLOEXEC, 3));
    signals.async_wait(asio::posix::stream_descriptor::wait_read,
                       [&interrupted](const boost::system::error_code& error) { interrupted = !error; });
  }
  impl_->context.restart();
  while (!answer && !interrupted) impl_->context.run_one();
  if (!answer) {
    // Close the connection and wait for the coroutine's end: it must not write to `answer` after this function returns.
    impl_->client->Close();
    while (!answer) impl_->context.run_one();
    return Fail(Code::kCancelled, "interrupted by signal {}", interrupts->Next());
  }
  signals.close();
  impl_->context.poll();  // runs the handler of the cancelled wait, which refers to local variables
  const auto took = std::chrono::ceil<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begun).count();
  log::Debug("answer to {} after {} ms: {}", method, took, *answer ? "done" : answer->error().message());
  return *std::move(answer);
}

}  // namespace kata::runtime
