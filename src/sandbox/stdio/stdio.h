// SPDX-License-Identifier: Apache-2.0
// The three streams of one process, pumped between the agent and the descriptors that its caller gave.
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

// stdin, stdout, stderr; one that is not valid is as if it were /dev/null.
using StdioFds = std::array<UniqueFd, 3>;

// Properties of the descriptors.
struct StdioTraits {
  bool own = false;               // they are this process's alone, and non-blocking
  std::vector<UniqueFd> keepers;  // held as long as the process is known: what is unread in a FIFO lives with them
  UniqueFd until_end;             // held until the outputs have ended, for whoever has the other end of it
};

// What a process wrote last holds its exit back no longer than this in all, whatever the agent and the reader do.
inline constexpr std::chrono::milliseconds kLastOutputTime{5000};

// Pulls output a chunk ahead of what is being written, and pushes input a chunk at a time: memory is bounded, and a
// slow reader blocks its own stream only. With a terminal there is no stderr; when the caller's terminal is hung up, so
// is the guest's.
//
// An output is passed on for as long as anybody in the guest has it open, also after the process's end, and its
// descriptor is closed with it. So is stdin's when nobody in the guest can read it any more. stdin ends with the
// process.
class Stdio : public std::enable_shared_from_this<Stdio> {
 public:
  static Result<std::shared_ptr<Stdio>> Create(const asio::any_io_executor& executor, StdioFds fds, bool terminal,
                                               StdioTraits traits = {});

  // Begins to pump; the process exists. Once.
  void Start(std::shared_ptr<AgentClient> agent, AgentProcess process);
  // After the process's end: returns when all that it had written has arrived, or after this time, or after more bytes
  // than a process can leave behind. What is left of the outputs goes on.
  asio::awaitable<void> Drain(std::chrono::milliseconds time);
  // Nothing more is passed to stdin.
  void EndInput();
  // Happens when all outputs have ended.
  const Event& ended() const { return ended_; }
  // Gives everything up: the descriptors are closed soon, whatever the agent does, and who still writes in the guest
  // gets SIGPIPE.
  void Stop();
  // Hangs the guest's terminal up, now or when the process exists: its session gets SIGHUP, reads get the end. Nothing
  // without a terminal.
  void HangUp();
  // Ends stdin, as the end of its file would; what is there already still goes to the process.
  void CloseStdin();

 private:
  Stdio(const asio::any_io_executor& executor, bool terminal)
      : executor_(executor), terminal_(terminal), settled_(executor), ended_(executor) {}
  static asio::awaitable<void> PumpOutput(std::shared_ptr<Stdio> self, OutputStream stream);
  struct Chunk;
  std::shared_ptr<Chunk> Pull(OutputStream stream);
  // All that the process itself had written to it has arrived.
  void Settle(OutputStream stream);
  void CountOutput(size_t size);
  static asio::awaitable<Result<>> CopyOutput(std::shared_ptr<Stdio> self, OutputStream stream,
                                              std::shared_ptr<ForeignFd> sink);
  // Who opens a FIFO for reading when its last writer has closed it waits for another one. A writer comes and goes, so
  // that such a reader finds what is left in it, and its end.
  static asio::awaitable<void> LetLateReadersIn(asio::any_io_executor executor, std::weak_ptr<Stdio> weak);
  static asio::awaitable<void> CloseOutput(std::shared_ptr<AgentClient> agent, AgentProcess process,
                                           OutputStream stream);
  static asio::awaitable<void> PumpInput(std::shared_ptr<Stdio> self);
  static asio::awaitable<void> WatchReader(std::shared_ptr<AgentClient> agent, AgentProcess process,
                                           std::weak_ptr<Stdio> weak);
  static asio::awaitable<Result<>> CopyInput(std::shared_ptr<Stdio> self);

  asio::any_io_executor executor_;
  bool terminal_;
  std::shared_ptr<ForeignFd> stdin_;   // null: none, the container reads the end at once, or has read it
  std::shared_ptr<ForeignFd> stdout_;  // null: what comes is dropped, or all has come
  std::shared_ptr<ForeignFd> stderr_;
  std::vector<UniqueFd> keepers_;
  UniqueFd until_end_;
  std::shared_ptr<AgentClient> agent_;
  AgentProcess process_;
  std::array<std::shared_ptr<Chunk>, 2> pulled_;  // that each output waits for
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
