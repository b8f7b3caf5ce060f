// SPDX-License-Identifier: Apache-2.0
// One process of a container, its own or an exec, as the host sees it: status, stdio, stand-in, waiters.
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

// The status of a process whose VM has gone before it told one, as if SIGKILL had ended it.
inline constexpr int kKilledStatus = 137;

class ContainerProcess : public std::enable_shared_from_this<ContainerProcess> {
 public:
  enum class Status { kCreated, kRunning, kStopped };

  // What the caller named as its stdio, for State.
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
    std::shared_ptr<Standin> standin;  // null: none
    pid_t vmm = 0;                     // the VMM's, where it is known already
    std::shared_ptr<Stdio> stdio;
    // One that has not ended so long after SIGKILL has a VM that hangs, which is failed then. Empty: nobody looks.
    std::function<Patience()> kill_patience;
    UniqueFd foreground;  // pidfd of the one that passes the terminal on; its end hangs up. Not valid: nobody does
    // Called once, when the process has ended and what it had written has arrived, before anybody else learns of it.
    std::function<void(ContainerProcess&)> on_end;
  };

  // Listens to the stand-in from now on; what it says before the process exists in the guest is kept until then.
  static std::shared_ptr<ContainerProcess> Create(const asio::any_io_executor& executor, Setup setup);

  const std::string& container() const { return setup_.container; }
  const std::string& exec() const { return setup_.exec; }
  bool terminal() const { return setup_.terminal; }
  const StdioNames& names() const { return setup_.names; }
  bool has_standin() const { return setup_.standin != nullptr; }
  AgentProcess agent_process() const;
  Status status() const { return status_; }
  // The guest has told its exit status, or nothing more can be known of it.
  bool knows_exit() const { return has_exit_status_; }
  int exit_status() const { return exit_status_; }
  int64_t exited_at_seconds() const { return exited_at_.tv_sec; }
  int32_t exited_at_nanoseconds() const { return static_cast<int32_t>(exited_at_.tv_nsec); }
  // The stand-in's. When there is none the VMM's, which is in the pod's network namespace: Docker and CNI's tools look
  // for that by a container's pid, and would work on the host's network if they were given this process's.
  pid_t pid() const;
  void RunsIn(pid_t vmm) { setup_.vmm = vmm; }
  const Event& ended() const { return ended_; }

  // The guest is being asked to make the process; until then a stand-in that is killed ends it without a word to the
  // guest.
  void Begin() { begun_ = true; }
  bool begun() const { return begun_; }
  // The guest could not make the process.
  void NeverBegan() { begun_ = false; }
  // The guest has made the process: pumps its stdio, waits for its end.
  void Follow(std::shared_ptr<AgentClient> agent);
  void MarkRunning();
  // The terminal's size, now or as soon as the process exists.
  void Resize(uint32_t rows, uint32_t columns);
  Stdio& stdio() { return *setup_.stdio; }
  // SIGKILL is on its way to it: no hung guest, virtiofsd or reader of its output may keep it for long.
  void ExpectEnd();
  bool expects_end() const { return killed_; }
  // Ends it now, whatever the guest thinks: with the status that the guest has told, otherwise with this one. Nothing
  // when it has ended.
  void End(int status);

 private:
  ContainerProcess(const asio::any_io_executor& executor, Setup setup)
      : executor_(executor), setup_(std::move(setup)), foreground_(executor), exited_(executor), ended_(executor) {}
  void KeepExit(int status);
  void Conclude();
  static asio::awaitable<void> WaitForEnd(std::shared_ptr<ContainerProcess> self);
  static asio::awaitable<void> WatchKill(std::shared_ptr<ContainerProcess> self);
  static asio::awaitable<void> WatchForeground(std::shared_ptr<ContainerProcess> self);
  void SignalFromStandin(int signal);
  void Send(int signal);

  asio::any_io_executor executor_;
  Setup setup_;
  std::shared_ptr<AgentClient> agent_;  // set by Follow
  std::vector<int> pending_signals_;    // what came before
  std::optional<std::pair<uint32_t, uint32_t>> pending_size_;
  asio::posix::stream_descriptor foreground_;
  bool begun_ = false;
  bool killed_ = false;
  Status status_ = Status::kCreated;
  bool has_exit_status_ = false;  // kept from the moment the guest tells it, whatever happens to the VM later
  int exit_status_ = 0;
  timespec exited_at_{};
  Event exited_;  // the guest has told the status
  Event ended_;
};

}  // namespace kata::sandbox
