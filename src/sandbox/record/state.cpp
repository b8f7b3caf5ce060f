// SPDX-License-Identifier: Apache-2.0
#include "sandbox/record/state.h"

#include <fcntl.h>

#include <cstdio>
#include <ctime>

#include "base/files.h"

namespace kata::sandbox {
namespace {

// Room for what is added to a record later: pids, times, cgroups, the failure.
constexpr size_t kRoomToGrow = 128U << 10U;

struct StatusEntry {
  Status status;
  const char* name;
};
constexpr StatusEntry kStatuses[] = {{Status::kCreating, "creating"},
                                     {Status::kCreated, "created"},
                                     {Status::kRunning, "running"},
                                     {Status::kPaused, "paused"},
                                     {Status::kStopped, "stopped"}};

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

Result<State> LoadState(int directory) {
  // Not ReadFile: a symbolic link under this name must not lead out of the directory.
  auto file = OpenBeneath(directory, kStateFile, O_RDONLY | O_CLOEXEC);
  if (!file) return Context(Result<State>(tl::unexpected<Error>(file.error())), "cannot read {}", kStateFile);
  auto json = ReadAll(file->get(), kMaxStateBytes);
  if (!json) return Context(Result<State>(tl::unexpected<Error>(json.error())), "cannot read {}", kStateFile);
  return ParseState(*json);
}

Result<> StoreState(int directory, const State& state) {
  const std::string json = ToJson(state);
  // A record that is too large to be read again must not be written. The first record must leave room to grow, so that
  // such a container is refused before anything is made for it.
  const size_t limit = kMaxStateBytes - (state.status == Status::kCreating ? kRoomToGrow : 0);
  if (json.size() > limit) {
    return Fail(Code::kResourceExhausted,
                "cannot write {}: it would have {} bytes, and at most {} are read: the "
                "container's annotations are too large",
                kStateFile, json.size(), limit);
  }
  return Context(WriteFileAtomic(directory, kStateFile, json, 0600), "cannot write {}", kStateFile);
}

std::vector<ProcessRef> ProcessesOf(const State& state) {
  std::vector<ProcessRef> processes = {state.sandbox};
  processes.insert(processes.end(), state.helpers.begin(), state.helpers.end());
  processes.push_back(state.standin);
  return processes;
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

std::optional<timespec> ParseTime(const std::string& text) {
  tm parts{};
  const char* rest = strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
  long nanoseconds = 0;
  int length = 0;
  if (rest == nullptr || sscanf(rest, ".%9ldZ%n", &nanoseconds, &length) != 1 || length != 11 || nanoseconds < 0 ||
      rest[length] != '\0') {
    return std::nullopt;
  }
  return timespec{.tv_sec = timegm(&parts), .tv_nsec = nanoseconds};
}

std::string FormatNow() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return FormatTime(now.tv_sec, static_cast<int32_t>(now.tv_nsec));
}

}  // namespace kata::sandbox
