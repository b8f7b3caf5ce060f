// SPDX-License-Identifier: Apache-2.0
// Reaps every child of the agent, and hands each exit status to the coroutine that waits for that child.
#pragma once

#include <sys/types.h>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <memory>

#include "base/child.h"
#include "base/result.h"

namespace kata::agent {

namespace asio = boost::asio;

// As PID 1 the agent inherits every orphan of the guest. So the Reaper reaps all children on SIGCHLD, including those
// that the agent did not start.
//
// The Reaper reaps only while the event loop runs. Code that starts a child and reaps it itself (waitpid(2),
// Child::Wait) is safe as long as there is no co_await in between. After a co_await only Reaper::Wait returns the
// status, and waitpid fails with ECHILD. Used from the executor's thread only.
class Reaper {
 public:
  // Reaps until destroyed. At most one may exist in the process.
  explicit Reaper(asio::any_io_executor executor);
  ~Reaper();
  Reaper(const Reaper&) = delete;
  Reaper& operator=(const Reaper&) = delete;

  // The process's Reaper, which must exist.
  static Reaper& Get();

  // Makes the Reaper keep the status of pid until Wait takes it. The caller must claim before its first co_await after
  // the fork. If it learns the pid only later (that of a grandchild, for example), it needs a Hold from before the
  // fork.
  void Claim(pid_t pid);

  // Claims pid, waits for its exit, and drops the claim. At most one caller for each pid. kNotFound: no such child.
  asio::awaitable<Result<ExitStatus>> Wait(pid_t pid);

  // While a Hold exists, the Reaper also keeps the statuses of unclaimed children, for a later Claim or Wait. They are
  // dropped with the last Hold.
  class Hold {
   public:
    Hold();
    ~Hold();
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;

   private:
    std::shared_ptr<struct ReaperState> state_;
  };

 private:
  std::shared_ptr<struct ReaperState> state_;
};

}  // namespace kata::agent
