// SPDX-License-Identifier: Apache-2.0
// The one place that reaps: collects every child of this process, and hands the statuses to those who ask for them.
#pragma once

#include <sys/types.h>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <memory>

#include "base/child.h"
#include "base/result.h"

namespace kata::agent {

namespace asio = boost::asio;

// As PID 1 the agent also inherits every orphan of the guest, so all children are collected on SIGCHLD, known or not.
//
// It collects only while the event loop runs. So a child that is started and waited for (waitpid, Child::Wait) without
// a co_await in between is its starter's own. After the first co_await only Wait below has the status, and waitpid
// answers ECHILD. Used from the executor's thread.
class Reaper {
 public:
  // Collects until destroyed. There is one at a time in a process.
  explicit Reaper(asio::any_io_executor executor);
  ~Reaper();
  Reaper(const Reaper&) = delete;
  Reaper& operator=(const Reaper&) = delete;

  // This process's reaper; it must exist.
  static Reaper& Get();

  // Keeps the status of pid until Wait has taken it. Call it before the first co_await after the fork; a pid that was
  // learnt later (a grandchild's, told through a pipe) needs a Hold that was there before the fork.
  void Claim(pid_t pid);

  // Claims pid, waits for its end, and forgets it. One caller for each pid. kNotFound: no such child.
  asio::awaitable<Result<ExitStatus>> Wait(pid_t pid);

  // While one lives, the statuses of children that nobody claimed yet are kept for a Claim or Wait to come.
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
