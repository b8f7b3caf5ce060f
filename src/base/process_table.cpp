// SPDX-License-Identifier: Apache-2.0
#include "base/process_table.h"

#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <charconv>
#include <sstream>
#include <string>
#include <string_view>

#include "base/child.h"
#include "base/files.h"
#include "base/log.h"

namespace kata {
namespace {

// Time allowed for a process to end after SIGKILL. It takes longer only if the kernel is stuck or the process is
// frozen.
constexpr std::chrono::milliseconds kKillTime{10000};

bool AwaitEnd(int pidfd, std::chrono::milliseconds time) {
  pollfd wait{.fd = pidfd, .events = POLLIN, .revents = 0};
  return poll(&wait, 1, static_cast<int>(time.count())) > 0;
}

// What /proc/PID/stat says of a process.
struct Seen {
  ProcessRef process;
  bool ended = false;  // a zombie: its main thread has ended, others may still run
  bool held = false;   // stopped by a signal or a debugger
};

// The clock ticks that the time namespace of this process adds to what it sees of the time since boot
// (time_namespaces(7)): a record is also read by processes of other ones.
int64_t BootOffset() {
  static const int64_t offset = [] {
    constexpr int64_t kNanoseconds = 1000000000;
    const int64_t ticks = sysconf(_SC_CLK_TCK);
    // Lines such as "boottime 86400 0". Kernels without such namespaces do not have the file.
    std::istringstream lines(ReadFile("/proc/self/timens_offsets").value_or(""));
    std::string clock;
    int64_t seconds = 0;
    int64_t rest = 0;
    while (lines >> clock >> seconds >> rest) {
      if (clock == "boottime") return seconds * ticks + rest / (kNanoseconds / ticks);
    }
    return int64_t{0};
  }();
  return offset;
}

Result<Seen> See(pid_t pid) {
  std::string path = fmt::format("/proc/{}/stat", pid);
  auto read = ReadFile(path);
  // Reading fails with ESRCH if the process ends between open and read.
  if (!read) return Fail(Code::kNotFound, "there is no process {}", pid);
  std::string_view stat = *read;
  // proc(5): the second field, the command in parentheses, may contain any character, so parse after the last ")".
  size_t close = stat.rfind(')');
  if (close == std::string_view::npos || close + 2 > stat.size()) {
    return Fail(Code::kInternal, "{} has no command field", path);
  }
  stat.remove_prefix(close + 2);
  std::vector<std::string_view> fields;  // beginning with field 3, the state
  while (!stat.empty() && fields.size() < 20) {
    size_t space = stat.find(' ');
    fields.push_back(stat.substr(0, space));
    stat.remove_prefix(space == std::string_view::npos ? stat.size() : space + 1);
  }
  if (fields.size() < 20) return Fail(Code::kInternal, "{} has too few fields", path);
  const std::string_view number = fields[19];
  uint64_t start_time = 0;
  const auto parsed = std::from_chars(number.data(), number.data() + number.size(), start_time);
  if (parsed.ec != std::errc()) return Fail(Code::kInternal, "{} has no start time", path);
  return Seen{.process = {.pid = pid, .start_time = start_time - static_cast<uint64_t>(BootOffset())},
              .ended = fields[0] == "Z" || fields[0] == "X",
              .held = fields[0] == "T" || fields[0] == "t"};
}

}  // namespace

Result<ProcessRef> IdentifyProcess(pid_t pid) {
  const Seen seen = TRY(See(pid));
  if (seen.ended) return Fail(Code::kNotFound, "process {} has ended", pid);
  return seen.process;
}

bool IsAlive(const ProcessRef& process) {
  if (process.pid <= 0) return false;
  auto now = IdentifyProcess(process.pid);
  return now && *now == process;
}

bool IsThere(const ProcessRef& process) {
  if (process.pid <= 0) return false;
  const auto now = See(process.pid);
  return now && now->process == process;
}

bool IsHeld(pid_t pid) {
  const auto seen = See(pid);
  return seen && seen->held;
}

// The pidfd is opened before the start time is compared: if that matches, the pidfd is that of the right process.
bool EndProcess(const ProcessRef& process, std::chrono::milliseconds time) {
  if (process.pid <= 0) return true;
  const auto pidfd = OpenPidfd(process.pid);
  // A zombie is killed as well: its other threads may still run and hold its open files.
  const auto seen = See(process.pid);
  if (!pidfd || !seen || seen->process != process) return true;
  if (time.count() > 0 && AwaitEnd(pidfd->get(), time)) return true;
  if (syscall(SYS_pidfd_send_signal, pidfd->get(), SIGKILL, nullptr, 0) != 0 && errno != ESRCH) {
    log::Warn("cannot kill process {}: {}", process.pid, ErrnoText(errno));
    return false;
  }
  if (AwaitEnd(pidfd->get(), kKillTime)) return true;
  log::Warn("process {} does not end although it was killed", process.pid);
  return false;
}

bool SendSignal(const ProcessRef& process, int signal) {
  const auto pidfd = OpenPidfd(process.pid);
  return pidfd && IsAlive(process) && syscall(SYS_pidfd_send_signal, pidfd->get(), signal, nullptr, 0) == 0;
}

std::vector<std::string> ArgumentsOf(pid_t pid) {
  const std::string text = ReadFile(fmt::format("/proc/{}/cmdline", pid)).value_or("");
  std::vector<std::string> words;
  for (size_t at = 0; at < text.size(); at += words.back().size() + 1) words.emplace_back(text.c_str() + at);
  return words;
}

std::vector<pid_t> ChildrenOf(pid_t pid) {
  std::vector<pid_t> children;
  const auto text = ReadFile(fmt::format("/proc/{0}/task/{0}/children", pid));
  std::istringstream numbers(text.value_or(""));
  for (pid_t child = 0; numbers >> child;) children.push_back(child);
  return children;
}

}  // namespace kata
