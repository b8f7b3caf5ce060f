// SPDX-License-Identifier: Apache-2.0
// Slow is not dead: the one rule for how long a process of this host, or a guest, is waited for.
//
// A wait has a time, and a clock of its own that it is measured by. The clock stands still
// - while those that are waited for want a processor of the host, or its disk, and do not get it;
// - where the wait is for a piece of work, also while they work: they use processors, or say something;
// - while the process that waits is late itself.
// So a process that hangs is noticed after the time, and a slow one is given what its host takes from it. After
// kLongest times its time a wait is over whatever they do. The end of a process ends a wait at once: whoever waits
// watches for that as well.
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

// What some processes have done so far; two of these are compared.
struct Effort {
  struct Thread {
    std::chrono::nanoseconds ran{0};   // on processors
    std::chrono::nanoseconds kept{0};  // waiting for one
    char state = 'S';                  // proc(5): 'R' runs or wants to, 'D' waits for a disk
  };
  std::map<pid_t, Thread> threads;
  uint64_t said = 0;  // bytes of output, where somebody counts them
};

// The effort of these processes and of all their descendants. What has ended counts nothing.
Effort EffortOf(const std::vector<pid_t>& processes);

class Patience {
 public:
  using Clock = std::chrono::steady_clock;
  using Look = std::function<Effort()>;
  // kWork: a piece of work, such as a start, which is long on a slow host. kAnswer: next to no work for those that are
  // waited for, who may be busy with something else all the time.
  enum class Kind { kWork, kAnswer };
  static constexpr int kLongest = 10;

  // For ever.
  Patience() : Patience(std::chrono::milliseconds(0)) {}
  // A fixed time, for what has no process, or where it does not matter; 0: for ever. Converts, so that a plain time may
  // stand wherever a Patience may.
  Patience(std::chrono::milliseconds time) : time_(time) {}  // NOLINT(google-explicit-constructor)
  // By the rule. key: the key of the configuration that changes the time; empty: there is none.
  Patience(std::chrono::milliseconds time, Kind kind, Look look, std::string key)
      : time_(time), kind_(kind), look_(std::move(look)), key_(std::move(key)) {}

  // How long to wait before this is asked again; 0: the time is over. May be asked earlier, too.
  std::chrono::milliseconds Next(Clock::time_point now = Clock::now());
  bool for_ever() const { return time_.count() == 0; }
  std::chrono::milliseconds time() const { return time_; }
  // The most that it can take; for_ever() has none.
  std::chrono::milliseconds longest() const { return look_ ? time_ * kLongest : time_; }
  // For a message about a wait that is over: "within 10 s (timeout_factor in [runtime] makes that longer)".
  std::string Text() const;

 private:
  std::chrono::nanoseconds Excused(const Effort& before, const Effort& now, std::chrono::nanoseconds interval) const;
  std::chrono::milliseconds Plan(Clock::time_point now);

  std::chrono::milliseconds time_;
  Kind kind_ = Kind::kAnswer;
  Look look_;
  std::string key_;
  Clock::time_point last_ = Clock::now();  // when the present interval began
  Clock::time_point planned_ = last_;      // when it ends
  std::chrono::nanoseconds counted_{0};    // by the wait's own clock
  std::chrono::nanoseconds waited_{0};     // in all
  bool begun_ = false;
  bool looked_ = false;  // before_ is there; not from the start, since most waits are short
  Effort before_;
};

// The rule for processes that are known by their pids.
Patience PatienceWith(std::vector<pid_t> processes, std::chrono::milliseconds time, Patience::Kind kind,
                      std::string key = "");

// The key of the configuration that changes all of the times, for the messages.
inline constexpr char kTimeoutFactorKey[] = "timeout_factor in [runtime]";

// Blocks until the descriptor is readable or at its end; false: the time is over.
bool AwaitReadable(int fd, Patience& patience);

}  // namespace kata
