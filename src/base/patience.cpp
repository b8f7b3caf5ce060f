// SPDX-License-Identifier: Apache-2.0
#include "base/patience.h"

#include <fcntl.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <set>
#include <string_view>

#include "base/files.h"
#include "base/process_table.h"

namespace kata {
namespace {

using std::chrono::duration_cast;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;

// The longest interval between two samples.
constexpr milliseconds kStep{1000};
// An interval that exceeds twice its planned length by more than this shows that the waiting process was delayed
// itself.
constexpr milliseconds kLate{200};
// Processes make progress if they use at least this fraction (1/10) of a CPU: an idle guest uses a few hundredths of a
// CPU, a booting guest all that it gets.
constexpr int kShareOfWork = 10;
constexpr size_t kMaxThreads = 4096;

// The first N numbers of a text, separated by spaces; 0 for those that are missing.
template <size_t N>
std::array<uint64_t, N> Numbers(std::string_view text) {
  std::array<uint64_t, N> numbers{};
  const char* at = text.data();
  const char* const end = at + text.size();
  for (uint64_t& number : numbers) {
    while (at < end && *at == ' ') ++at;
    at = std::from_chars(at, end, number).ptr;
  }
  return numbers;
}

Effort::Thread LookAt(const std::string& directory) {
  Effort::Thread thread;
  // schedstat: nanoseconds of CPU time, then nanoseconds on a run queue.
  const auto [ran, kept] = Numbers<2>(ReadFile(directory + "/schedstat").value_or(""));
  thread.ran = nanoseconds(ran);
  thread.kept = nanoseconds(kept);
  const std::string stat = ReadFile(directory + "/stat").value_or("");
  const size_t close = stat.rfind(") ");
  if (close != std::string::npos && close + 2 < stat.size()) thread.state = stat[close + 2];
  return thread;
}

void AddProcess(pid_t pid, Effort& effort, std::set<pid_t>& seen) {
  if (!seen.insert(pid).second || effort.threads.size() > kMaxThreads) return;
  const std::string tasks = fmt::format("/proc/{}/task", pid);
  const auto directory = Open(tasks, O_RDONLY | O_DIRECTORY);
  if (!directory) return;
  for (const std::string& name : ListDir(directory->get()).value_or(std::vector<std::string>())) {
    const auto [thread] = Numbers<1>(name);
    effort.threads[static_cast<pid_t>(thread)] = LookAt(fmt::format("{}/{}", tasks, name));
  }
  for (const pid_t child : ChildrenOf(pid)) AddProcess(child, effort, seen);
}

std::string Seconds(nanoseconds time) { return fmt::format("{:.3g} s", std::chrono::duration<double>(time).count()); }

}  // namespace

Effort EffortOf(const std::vector<pid_t>& processes) {
  Effort effort;
  std::set<pid_t> seen;
  for (const pid_t pid : processes) {
    if (pid > 0) AddProcess(pid, effort, seen);
  }
  return effort;
}

nanoseconds Patience::Excused(const Effort& before, const Effort& now, nanoseconds interval) const {
  nanoseconds ran{0};
  // The maximum over all threads: a sum would excuse a guest for ever if all its vCPUs are busy.
  nanoseconds kept{0};
  for (const auto& [id, thread] : now.threads) {
    const auto known = before.threads.find(id);
    const Effort::Thread earlier = known == before.threads.end() ? Effort::Thread() : known->second;
    const nanoseconds thread_ran = std::max(thread.ran - earlier.ran, nanoseconds(0));
    nanoseconds thread_kept = std::max(thread.kept - earlier.kept, nanoseconds(0));
    // The kernel adds the time on a run queue only when the thread gets a CPU, so a thread that still waits shows none.
    const bool wants = thread.state == 'R' && thread_ran.count() == 0;
    if (wants || thread.state == 'D') thread_kept = interval;
    ran += thread_ran;
    kept = std::max(kept, thread_kept);
  }
  const bool works = ran * kShareOfWork >= interval || now.said != before.said;
  return kind_ == Kind::kWork && works ? interval : std::min(kept, interval);
}

milliseconds Patience::Plan(Clock::time_point now) {
  const auto left = std::min<nanoseconds>(time_ - counted_, longest() - waited_);
  if (left.count() <= 0) return milliseconds(0);
  const milliseconds step = std::clamp(time_ / 8, milliseconds(5), kStep);
  // Rounded up, because 0 means that the wait timed out.
  const auto next = std::min(step, duration_cast<milliseconds>(left) + milliseconds(1));
  last_ = now;
  planned_ = now + next;
  return next;
}

milliseconds Patience::Next(Clock::time_point now) {
  if (for_ever()) return kStep;
  if (!look_) {
    waited_ = counted_ = now - last_;
    return std::max(duration_cast<milliseconds>(time_ - (now - last_) + milliseconds(1) - nanoseconds(1)),
                    milliseconds(0));
  }
  if (!std::exchange(begun_, true)) return Plan(now);
  if (now < planned_) return duration_cast<milliseconds>(planned_ - now) + milliseconds(1);
  const nanoseconds meant = planned_ - last_;
  const nanoseconds interval = now - last_;
  waited_ += std::min<nanoseconds>(interval, 2 * meant);
  Effort effort = look_();
  if (interval <= 2 * meant + kLate) {
    counted_ += interval - (looked_ ? Excused(before_, effort, interval) : nanoseconds(0));
  }
  before_ = std::move(effort);
  looked_ = true;
  return Plan(now);
}

std::string Patience::Text() const {
  const bool excused = look_ && waited_ > counted_ + kStep / 2;
  std::string text = "within " + Seconds(excused ? waited_ : time_);
  if (excused) text += fmt::format(", {} of them without progress", Seconds(counted_));
  return key_.empty() ? text : fmt::format("{} ({} makes that longer)", text, key_);
}

Patience PatienceWith(std::vector<pid_t> processes, milliseconds time, Patience::Kind kind, std::string key) {
  return {time, kind, [processes = std::move(processes)] { return EffortOf(processes); }, std::move(key)};
}

bool AwaitReadable(int fd, Patience& patience) {
  while (true) {
    const milliseconds next = patience.Next();
    pollfd wait{.fd = fd, .events = POLLIN, .revents = 0};
    if (poll(&wait, 1, static_cast<int>(next.count())) > 0) return true;
    if (next.count() == 0 && !patience.for_ever()) return false;
  }
}

}  // namespace kata
