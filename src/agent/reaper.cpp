// SPDX-License-Identifier: Apache-2.0
#include "agent/reaper.h"

#include <signal.h>
#include <sys/wait.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <map>
#include <optional>

#include "base/coroutine.h"

namespace kata::agent {

namespace {

// A child whose status has been claimed.
struct Claimed {
  explicit Claimed(const asio::any_io_executor& executor) : ended(executor, asio::steady_timer::time_point::max()) {}
  std::optional<ExitStatus> status;
  asio::steady_timer ended;
};

Reaper* current = nullptr;
std::weak_ptr<ReaperState> current_state;

ExitStatus StatusOf(const siginfo_t& info) {
  ExitStatus status;
  if (info.si_code == CLD_EXITED) {
    status.code = info.si_status;
  } else {
    status.signal = info.si_status;
  }
  return status;
}

}  // namespace

struct ReaperState : std::enable_shared_from_this<ReaperState> {
  explicit ReaperState(const asio::any_io_executor& on) : executor(on), signals(on, SIGCHLD) {}

  void Listen() {
    signals.async_wait([self = shared_from_this()](boost::system::error_code error, int) {
      if (error) return;
      self->Collect();
      self->Listen();
    });
  }

  // Pending SIGCHLDs merge, so one signal can stand for any number of exited children.
  void Collect() {
    for (;;) {
      siginfo_t info{};
      if (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG) < 0) {
        if (errno == EINTR) continue;
        return;
      }
      if (info.si_pid == 0) return;
      auto claim = claimed.find(info.si_pid);
      if (claim != claimed.end()) {
        claim->second->status = StatusOf(info);
        claim->second->ended.cancel();
      } else if (holds > 0) {
        unclaimed[info.si_pid] = StatusOf(info);
      }
    }
  }

  std::shared_ptr<Claimed> Find(pid_t pid) {
    auto& slot = claimed[pid];
    if (!slot) slot = std::make_shared<Claimed>(executor);
    auto early = unclaimed.find(pid);
    if (early != unclaimed.end()) {
      slot->status = early->second;
      unclaimed.erase(early);
    }
    return slot;
  }

  asio::any_io_executor executor;
  asio::signal_set signals;
  std::map<pid_t, std::shared_ptr<Claimed>> claimed;
  std::map<pid_t, ExitStatus> unclaimed;
  int holds = 0;
};

Reaper::Reaper(asio::any_io_executor executor) : state_(std::make_shared<ReaperState>(executor)) {
  current = this;
  current_state = state_;
  state_->Listen();
  // The signal of a child that exited before the handler was installed is lost.
  state_->Collect();
}

Reaper::~Reaper() {
  boost::system::error_code ignored;
  state_->signals.cancel(ignored);
  if (current == this) current = nullptr;
}

Reaper& Reaper::Get() { return *current; }

void Reaper::Claim(pid_t pid) { state_->Find(pid); }

asio::awaitable<Result<ExitStatus>> Reaper::Wait(pid_t pid) {
  auto state = state_;
  auto child = state->Find(pid);
  if (!child->status) {
    siginfo_t info{};
    if (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) < 0 && errno == ECHILD) {
      state->claimed.erase(pid);
      co_return Fail(Code::kNotFound, "process {} is no child of the agent", pid);
    }
  }
  while (!child->status) {
    co_await child->ended.async_wait(kAwait);
  }
  state->claimed.erase(pid);
  co_return *child->status;
}

Reaper::Hold::Hold() : state_(current_state.lock()) {
  if (state_) ++state_->holds;
}

Reaper::Hold::~Hold() {
  if (state_ && --state_->holds == 0) state_->unclaimed.clear();
}

}  // namespace kata::agent
