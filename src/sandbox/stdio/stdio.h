// SPDX-License-Identifier: Apache-2.0
// Pumps the three streams of one process between the agent and the descriptors that its caller gave.
#pragma once

#include <array>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <memory>
#include <vector>

#include "base/coroutine.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "sandbox/agent_client.h"
#include "sandbox/stdio/foreign_fd.h"

namespace kata::sandbox {

// stdin, stdout, stderr. One that is not valid acts like /dev/null.
using StdioFds = std::array<UniqueFd, 3>;

// Properties of the descriptors.
struct StdioTraits {
  bool own = false;               // their open file descriptions are this process's alone, and non-blocking
  std::vector<UniqueFd> keepers;  // held until Stdio is destroyed: they keep the unread data of a FIFO
  UniqueFd until_end;             // closed when the outputs have ended; the holder of the other end sees that
};

// The longest time for which a process's last output delays the report of its exit, whatever the agent and the reader
// do.
inline constexpr std::chrono::milliseconds kLastOutputTime{5000};

// Pulls output one chunk ahead of the chunk that is being written, and pushes input a chunk at a time. So memory is
// bounded, and a slow reader blocks only its own stream. With a terminal there is no stderr, and when the caller's
// terminal is hung up, so is the guest's.
//
// An output is passed on as long as a process in the guest has it open, also after the end of this process; then its
// descriptor is closed. The descriptor of stdin is closed when no process in the guest can read it any more, or when
// this process has ended. Not thread-safe.
class Stdio : public std::enable_shared_from_this<Stdio> {
 public:
  // Takes the descriptors over. Pumps nothing before Start.
  static Result<std::shared_ptr<Stdio>> Create(const asio::any_io_executor& executor, StdioFds fds, bool terminal,
                                               StdioTraits traits = {});

  // Starts pumping. To be called once, when the process exists in the guest.
  void Start(std::shared_ptr<AgentClient> agent, AgentProcess process);
  // To be called after the process's end. Returns when all that the process itself wrote has been written here, or
  // after this time, or after more bytes than a process can leave behind. The outputs continue.
  asio::awaitable<void> Drain(std::chrono::milliseconds time);
  // Closes the descriptor of stdin; nothing more is passed to the process.
  void EndInput();
  // Happens when all outputs have ended.
  const Event& ended() const { return ended_; }
  // Gives up all streams. The descriptors are closed soon, whatever the agent does, and processes that still write in
  // the guest get SIGPIPE.
  void Stop();
  // Hangs up the guest's terminal, now or when the process exists: its session gets SIGHUP, and reads return the end.
  // No effect without a terminal.
  void HangUp();
  // Ends stdin as the end of its file would. Data that is available already still goes to the process.
  void CloseStdin();

 private:
  Stdio(const asio::any_io_executor& executor, bool terminal)
      : executor_(executor), terminal_(terminal), settled_(executor), ended_(executor) {}
  static asio::awaitable<void> PumpOutput(std::shared_ptr<Stdio> self, OutputName stream);
  struct Chunk;
  std::shared_ptr<Chunk> Pull(OutputName stream);
  // All that the process itself wrote to this stream has arrived.
  void Settle(OutputName stream);
  void CountOutput(size_t size);
  static asio::awaitable<Result<>> CopyOutput(std::shared_ptr<Stdio> self, OutputName stream,
                                              std::shared_ptr<ForeignFd> sink);
  // A process that opens a FIFO for reading after its last writer has closed it waits for another writer. This opens
  // and closes each FIFO for writing now and then, so that such a reader gets the rest of its data, and the end.
  static asio::awaitable<void> LetLateReadersIn(asio::any_io_executor executor, std::weak_ptr<Stdio> weak);
  static asio::awaitable<void> CloseOutput(std::shared_ptr<AgentClient> agent, AgentProcess process, OutputName stream);
  static asio::awaitable<void> PumpInput(std::shared_ptr<Stdio> self);
  static asio::awaitable<void> WatchReader(std::shared_ptr<AgentClient> agent, AgentProcess process,
                                           std::weak_ptr<Stdio> weak);
  static asio::awaitable<Result<>> CopyInput(std::shared_ptr<Stdio> self);

  asio::any_io_executor executor_;
  bool terminal_;
  std::shared_ptr<ForeignFd> stdin_;   // null: none, or it has ended; the process reads the end
  std::shared_ptr<ForeignFd> stdout_;  // null: output is dropped, or has ended
  std::shared_ptr<ForeignFd> stderr_;
  std::vector<UniqueFd> keepers_;
  UniqueFd until_end_;
  std::shared_ptr<AgentClient> agent_;
  AgentProcess process_;
  std::array<std::shared_ptr<Chunk>, 2> pulled_;  // the chunk that each output waits for
  std::array<bool, 2> is_settled_{};
  int unsettled_ = 0;
  int outputs_ = 0;  // pumps that still run
  bool draining_ = false;
  size_t drained_ = 0;  // bytes of output since Drain
  Event settled_;
  Event ended_;
  bool input_ended_ = false;
  bool stopped_ = false;
  bool hung_up_ = false;
};

}  // namespace kata::sandbox
