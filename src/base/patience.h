// SPDX-License-Identifier: Apache-2.0
// Time-outs that tell a slow process or guest from one that hangs, on a host that may be overloaded.
//
// Every wait has a time-out and a clock of its own. That clock stops
// - while the processes that are waited for want a CPU or a disk of the host and do not get it;
// - if the wait is for a piece of work (Kind::kWork), also while they make progress: they use CPU time or print output;
// - while the waiting process itself is delayed.
// So a process that hangs is noticed after the time-out, and a process on a slow host gets more time. A wait ends in
// any case after kLongest times its time-out of real time. Patience does not notice the end of a process: the caller
// watches for that as well, and then stops waiting at once.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace kata {

// What some processes have done so far. Patience compares two such samples to see their progress.
struct Effort {
  struct Thread {
    std::chrono::nanoseconds ran{0};   // CPU time
    std::chrono::nanoseconds kept{0};  // time on a run queue, waiting for a CPU (/proc/PID/schedstat)
    char state = 'S';                  // proc(5): 'R' runs or is runnable, 'D' waits for a disk
  };
  std::map<pid_t, Thread> threads;
  uint64_t said = 0;  // bytes of output, such as a guest's console; 0 when the caller does not count them
};

// The effort of these processes and of all their descendants. A process that has ended adds nothing.
Effort EffortOf(const std::vector<pid_t>& processes);

// One wait, from its construction on. Not thread-safe.
class Patience {
 public:
  using Clock = std::chrono::steady_clock;
  using Look = std::function<Effort()>;
  // kWork: the processes have a piece of work to do, such as a start: progress stops the clock. kAnswer: the answer
  // needs next to no work, and the processes may be busy with other things: only starvation stops the clock.
  enum class Kind { kWork, kAnswer };
  static constexpr int kLongest = 10;

  // Waits for ever.
  Patience() : Patience(std::chrono::milliseconds(0)) {}
  // A fixed time-out, measured in real time; 0: for ever. Implicit, so that callers can pass a plain duration.
  Patience(std::chrono::milliseconds time) : time_(time) {}  // NOLINT(google-explicit-constructor)
  // A time-out by the rule above; look samples the processes. key: the configuration key that changes the time-out, for
  // Text(); empty: none.
  Patience(std::chrono::milliseconds time, Kind kind, Look look, std::string key)
      : time_(time), kind_(kind), look_(std::move(look)), key_(std::move(key)) {}

  // How long the caller may wait before it calls Next again; 0: timed out. It may call earlier. With for_ever() the
  // result is never 0.
  std::chrono::milliseconds Next(Clock::time_point now = Clock::now());
  bool for_ever() const { return time_.count() == 0; }
  std::chrono::milliseconds time() const { return time_; }
  // The upper bound of the wait, delays of this process not counted; 0 with for_ever().
  std::chrono::milliseconds longest() const { return look_ ? time_ * kLongest : time_; }
  // For the error message of a wait that timed out: "within 10 s (timeout_factor in [runtime] makes that longer)".
  std::string Text() const;

 private:
  std::chrono::nanoseconds Excused(const Effort& before, const Effort& now, std::chrono::nanoseconds interval) const;
  std::chrono::milliseconds Plan(Clock::time_point now);

  std::chrono::milliseconds time_;
  Kind kind_ = Kind::kAnswer;
  Look look_;
  std::string key_;
  Clock::time_point last_ = Clock::now();  // when the current interval began
  Clock::time_point planned_ = last_;      // when the current interval is meant to end
  std::chrono::nanoseconds counted_{0};    // time by the wait's own clock
  std::chrono::nanoseconds waited_{0};     // real time, without delays of this process
  bool begun_ = false;
  bool looked_ = false;  // before_ is valid; false in the first interval: most waits are too short to need a sample
  Effort before_;
};

// A time-out by the rule above for these processes and their descendants.
Patience PatienceWith(std::vector<pid_t> processes, std::chrono::milliseconds time, Patience::Kind kind,
                      std::string key = "");

// The configuration key that scales all time-outs, for Patience's messages.
inline constexpr char kTimeoutFactorKey[] = "timeout_factor in [runtime]";

// Blocks until the descriptor is readable or at end of file. Returns false when patience timed out.
bool AwaitReadable(int fd, Patience& patience);

}  // namespace kata
