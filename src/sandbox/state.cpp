// SPDX-License-Identifier: Apache-2.0
#include "sandbox/state.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <charconv>
#include <ctime>

#include "base/child.h"
#include "base/files.h"
#include "base/log.h"

namespace kata::sandbox {
namespace {

// A record has a few hundred bytes, and annotations.
constexpr size_t kMaxStateBytes = 4U << 20U;
// After SIGKILL; longer only when the kernel itself is stuck.
constexpr std::chrono::milliseconds kKillTime{5000};

struct StatusEntry {
  Status status;
  const char* name;
};
constexpr StatusEntry kStatuses[] = {{Status::kCreating, "creating"},
                                     {Status::kCreated, "created"},
                                     {Status::kRunning, "running"},
                                     {Status::kPaused, "paused"},
                                     {Status::kStopped, "stopped"}};

template <typename Number>
std::optional<Number> ToNumber(std::string_view text) {
  Number number{};
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

bool AwaitEnd(int pidfd, std::chrono::milliseconds time) {
  pollfd wait{.fd = pidfd, .events = POLLIN, .revents = 0};
  return poll(&wait, 1, static_cast<int>(time.count())) > 0;
}

// An entry of the table of processes.
struct Seen {
  ProcessRef process;
  bool ended = false;  // a zombie: at least its first thread has
  bool held = false;   // stopped
};

Result<Seen> See(pid_t pid) {
  std::string path = fmt::format("/proc/{}/stat", pid);
  auto read = ReadFile(path);
  // ESRCH: it ended between open and read.
  if (!read) return Fail(Code::kNotFound, "there is no process {}", pid);
  std::string_view stat = *read;
  // proc(5): the second field, the command in parentheses, may hold anything; what follows its last ")" is regular.
  size_t close = stat.rfind(')');
  if (close == std::string_view::npos || close + 2 > stat.size()) {
    return Fail(Code::kInternal, "{} has no command field", path);
  }
  stat.remove_prefix(close + 2);
  std::vector<std::string_view> fields;  // from field 3, the state, on
  while (!stat.empty() && fields.size() < 20) {
    size_t space = stat.find(' ');
    fields.push_back(stat.substr(0, space));
    stat.remove_prefix(space == std::string_view::npos ? stat.size() : space + 1);
  }
  if (fields.size() < 20) return Fail(Code::kInternal, "{} has too few fields", path);
  auto start_time = ToNumber<uint64_t>(fields[19]);
  if (!start_time) return Fail(Code::kInternal, "{} has no start time", path);
  return Seen{.process = {.pid = pid, .start_time = *start_time},
              .ended = fields[0] == "Z" || fields[0] == "X",
              .held = fields[0] == "T" || fields[0] == "t"};
}

}  // namespace

const char* StatusName(Status status) {
  for (const auto& entry : kStatuses) {
    if (entry.status == status) return entry.name;
  }
  return "unknown";
}

std::optional<Status> StatusFromName(std::string_view name) {
  for (const auto& entry : kStatuses) {
    if (entry.name == name) return entry.status;
  }
  return std::nullopt;
}

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

bool IsHeld(pid_t pid) {
  const auto seen = See(pid);
  return seen && seen->held;
}

Result<State> LoadState(int directory) {
  // Not ReadFile: the name must not lead out of the directory by way of a link.
  auto file = OpenBeneath(directory, kStateFile, O_RDONLY | O_CLOEXEC);
  if (!file) return Context(Result<State>(tl::unexpected<Error>(file.error())), "cannot read {}", kStateFile);
  auto json = ReadAll(file->get(), kMaxStateBytes);
  if (!json) return Context(Result<State>(tl::unexpected<Error>(json.error())), "cannot read {}", kStateFile);
  return ParseState(*json);
}

Result<> StoreState(int directory, const State& state) {
  return Context(WriteFileAtomic(directory, kStateFile, ToJson(state), 0600), "cannot write {}", kStateFile);
}

// Once its pidfd is open and its start time is right, the pid cannot be another's.
void EndProcess(const ProcessRef& process, std::chrono::milliseconds patience) {
  if (process.pid <= 0) return;
  const auto pidfd = OpenPidfd(process.pid);
  // A zombie as well: its other threads may not have ended, and still have all that it had open.
  const auto seen = See(process.pid);
  if (!pidfd || !seen || seen->process != process) return;
  if (patience.count() > 0 && AwaitEnd(pidfd->get(), patience)) return;
  if (syscall(SYS_pidfd_send_signal, pidfd->get(), SIGKILL, nullptr, 0) != 0) {
    log::Warn("cannot kill process {}: {}", process.pid, ErrnoText(errno));
    return;
  }
  if (!AwaitEnd(pidfd->get(), kKillTime)) log::Warn("process {} does not end although it was killed", process.pid);
}

Status CurrentStatus(const State& state) {
  if (state.status == Status::kStopped || IsAlive(state.sandbox)) return state.status;
  return Status::kStopped;
}

std::string FormatTime(int64_t seconds, int32_t nanoseconds) {
  time_t time = seconds;
  tm parts{};
  gmtime_r(&time, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:09}Z", parts.tm_year + 1900, parts.tm_mon + 1,
                     parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, nanoseconds);
}

std::string FormatNow() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return FormatTime(now.tv_sec, static_cast<int32_t>(now.tv_nsec));
}

}  // namespace kata::sandbox
