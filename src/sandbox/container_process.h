// SPDX-License-Identifier: Apache-2.0
// The host's view of one process of a container, its own or an exec: status, stdio, stand-in, waiters.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/coroutine.h"
#include "sandbox/agent_client.h"
#include "sandbox/stdio/standin_server.h"
#include "sandbox/stdio/stdio.h"

namespace kata::sandbox {

// The exit status, as after SIGKILL, of a process whose VM ended before the guest reported a status.
inline constexpr int kKilledStatus = 137;

class ContainerProcess : public std::enable_shared_from_this<ContainerProcess> {
 public:
  enum class Status { kCreated, kRunning, kStopped };

  // The stdio names from the request, for Task State.
  struct StdioNames {
    std::string in;
    std::string out;
    std::string err;
  };

  struct Setup {
    std::string container;
    std::string exec;  // empty: the container's own process
    bool terminal = false;
    StdioNames names;
    std::shared_ptr<Standin> standin;  // null: there is none
    pid_t vmm = 0;                     // the VMM's pid, if it is known already
    std::shared_ptr<Stdio> stdio;
    // The time between SIGKILL and the end of the process, after which the VM counts as hung and is failed. Empty: no
    // limit.
    std::function<Patience()> kill_patience;
    UniqueFd foreground;  // pidfd; its end hangs the terminal up. May be invalid
    // Called once, when the process has ended and its last output has arrived, before the stand-in and the waiters
    // learn of the end.
    std::function<void(ContainerProcess&)> on_end;
  };

  // Listens to the stand-in at once. Signals and sizes that arrive before the process exists in the guest are kept for
  // it.
  static std::shared_ptr<ContainerProcess> Create(const asio::any_io_executor& executor, Setup setup);

  const std::string& container() const { return setup_.container; }
  const std::string& exec() const { return setup_.exec; }
  bool terminal() const { return setup_.terminal; }
  const StdioNames& names() const { return setup_.names; }
  bool has_standin() const { return setup_.standin != nullptr; }
  AgentProcess agent_process() const;
  Status status() const { return status_; }
  // Whether the exit status is final: the guest has reported it, or End has set it.
  bool knows_exit() const { return has_exit_status_; }
  // Valid once knows_exit.
  int exit_status() const { return exit_status_; }
  int64_t exited_at_seconds() const { return exited_at_.tv_sec; }
  int32_t exited_at_nanoseconds() const { return static_cast<int32_t>(exited_at_.tv_nsec); }
  // The stand-in's pid. Without a stand-in the VMM's: that process is in the pod's network namespace. Docker and CNI's
  // tools find the namespace by a container's pid; with this process's pid they would work on the host's network. This
  // process's pid only as long as the VMM's is unknown.
  pid_t pid() const;
  // Sets the VMM's pid.
  void RunsIn(pid_t vmm) { setup_.vmm = vmm; }
  // Happens when the process has ended, after on_end.
  const Event& ended() const { return ended_; }

  // The caller is about to ask the guest to make the process. Before this call, a stand-in that is killed ends the
  // process without a word to the guest.
  void Begin() { begun_ = true; }
  bool begun() const { return begun_; }
  // To be called when the guest could not make the process.
  void NeverBegan() { begun_ = false; }
  // The guest has made the process. Pumps its stdio, waits for its end, and passes on the signals and the size that
  // were kept.
  void Follow(std::shared_ptr<AgentClient> agent);
  // The start has succeeded. No effect on a process that has ended already.
  void MarkRunning();
  // Sets the terminal's size, now or as soon as the process exists.
  void Resize(uint32_t rows, uint32_t columns);
  // Passes a signal on, now or as soon as the process exists. SIGKILL before that ends the process at once.
  void Signal(int signal);
  // For a container's own process: passes the signal on to all processes of the container. Execs do nothing: whoever
  // signals all means their container's own process, too.
  void SignalAll(int signal);
  Stdio& stdio() { return *setup_.stdio; }
  // SIGKILL is being sent. Starts the limit of kill_patience, and shortens the wait for the last output. No effect
  // before Follow.
  void ExpectEnd();
  bool expects_end() const { return killed_; }
  // Ends the process now, whatever the guest says. The status is the one that the guest has reported, otherwise this
  // one. No effect after the end.
  void End(int status);

 private:
  ContainerProcess(const asio::any_io_executor& executor, Setup setup)
      : executor_(executor), setup_(std::move(setup)), foreground_(executor), exited_(executor), ended_(executor) {}
  void KeepExit(int status);
  void Conclude();
  static asio::awaitable<void> WaitForEnd(std::shared_ptr<ContainerProcess> self);
  static asio::awaitable<void> WatchKill(std::shared_ptr<ContainerProcess> self);
  static asio::awaitable<void> WatchForeground(std::shared_ptr<ContainerProcess> self);
  void Send(int signal);

  asio::any_io_executor executor_;
  Setup setup_;
  std::shared_ptr<AgentClient> agent_;  // set by Follow
  std::vector<int> pending_signals_;    // received before Follow
  std::optional<std::pair<uint32_t, uint32_t>> pending_size_;
  asio::posix::stream_descriptor foreground_;
  bool begun_ = false;
  bool killed_ = false;
  Status status_ = Status::kCreated;
  bool has_exit_status_ = false;  // a reported status stays, whatever happens to the VM later
  int exit_status_ = 0;
  timespec exited_at_{};
  Event exited_;  // the guest has reported the status, or the process was ended
  Event ended_;
};

}  // namespace kata::sandbox
