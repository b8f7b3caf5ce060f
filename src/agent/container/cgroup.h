// SPDX-License-Identifier: Apache-2.0
// A cgroup v2 of a container: makes, reads, freezes, kills and removes it, through a descriptor of its directory.
#pragma once

#include <sys/types.h>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace kata::agent {

namespace asio = boost::asio;

// Converts linux.cgroupsPath into a path below the cgroup2 mount, without a leading slash. Takes "/a/b", "a/b" and
// systemd's "slice:prefix:name"; returns id if the path is empty or "/". ".." cannot lead above the mount.
// kInvalidArgument: a NUL byte, or a malformed systemd name.
Result<std::string> SanitizeCgroupPath(std::string_view cgroups_path, std::string_view id);

// The number that follows key in the text of a flat-keyed file such as cpu.stat; nullopt if the key is missing.
std::optional<uint64_t> KeyOf(std::string_view text, std::string_view key);

class Cgroup {
 public:
  // Makes the cgroup path and its missing parents below the cgroup2 mount. Enables every available controller in each
  // parent. kAlreadyExists: the cgroup exists and contains processes. kFailedPrecondition: mount is no cgroup2.
  static Result<Cgroup> Create(const std::string& mount, const std::string& path);

  int fd() const { return fd_.get(); }
  const std::string& path() const { return path_; }

  // file is the name of a file in the cgroup, such as "memory.max".
  bool Has(const std::string& file) const;
  Result<std::string> Read(const std::string& file) const;
  Result<> Write(const std::string& file, std::string_view data) const;
  // KeyOf the content of file; nullopt also if the file is missing.
  std::optional<uint64_t> ReadKey(const std::string& file, std::string_view key) const;

  // The processes in this cgroup and in the cgroups below it.
  Result<std::vector<pid_t>> Pids() const;
  // Signals all of these processes; SIGKILL goes through cgroup.kill, which a fork cannot escape.
  Result<> SignalAll(int signal) const;
  // Whether a freeze has been requested (cgroup.freeze).
  Result<bool> Frozen() const;
  // Freezes or thaws the cgroup, and waits until cgroup.events confirms it. kDeadlineExceeded: not within limit.
  asio::awaitable<Result<>> Freeze(asio::any_io_executor executor, bool frozen, std::chrono::seconds limit) const;
  // Kills all processes and waits until they are gone. Then removes the cgroup, the cgroups below it, and the parents
  // that Create made, if those are empty. kDeadlineExceeded: processes are left after limit.
  asio::awaitable<Result<>> Remove(asio::any_io_executor executor, std::chrono::seconds limit) const;

 private:
  Result<> RemoveDirectories() const;

  UniqueFd fd_;
  std::string mount_;
  std::string path_;
  size_t made_ = 0;  // how many of the last components of path_ Create has made
};

// Waits until the kernel changes an event file of a cgroup (cgroup.events, memory.events) after it was last read
// through fd. kDeadlineExceeded: not within limit; seconds::max() means no limit.
asio::awaitable<Result<>> WaitChanged(asio::any_io_executor executor, int fd, std::chrono::seconds limit);

// Waits for OOM kills in a cgroup.
class OomWatch {
 public:
  // Returns when oom_kill in memory.events has grown since the last call, or since 0 at the first. kUnimplemented: the
  // guest has no memory controller. kNotFound: Cancel was called, or the cgroup is gone. cgroup is used only until the
  // first suspension.
  asio::awaitable<Result<>> Wait(asio::any_io_executor executor, const Cgroup& cgroup);
  // Ends the current Wait and all later ones. Does nothing before the first Wait.
  void Cancel();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace kata::agent
