// SPDX-License-Identifier: Apache-2.0
// A cgroup v2 directory: made, looked into, frozen, killed and removed. Everything goes through a descriptor of the
// directory.
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

// linux.cgroupsPath as a path below the mount, without leading slash: "/a/b", "a/b", or systemd's "slice:prefix:name".
// ".." never leads above the mount. Empty: the id.
Result<std::string> SanitizeCgroupPath(std::string_view cgroups_path, std::string_view id);

// The number behind key in the text of a flat-keyed file such as cpu.stat; nothing when it is not there.
std::optional<uint64_t> KeyOf(std::string_view text, std::string_view key);

class Cgroup {
 public:
  // Makes the directory, and those above it, below the cgroup2 mount, with every controller there is enabled on the
  // way. kAlreadyExists: it has processes in it.
  static Result<Cgroup> Create(const std::string& mount, const std::string& path);

  int fd() const { return fd_.get(); }
  const std::string& path() const { return path_; }

  bool Has(const std::string& file) const;
  Result<std::string> Read(const std::string& file) const;
  Result<> Write(const std::string& file, std::string_view data) const;
  // KeyOf of the file.
  std::optional<uint64_t> ReadKey(const std::string& file, std::string_view key) const;

  // The processes in it and below it.
  Result<std::vector<pid_t>> Pids() const;
  Result<> SignalAll(int signal) const;
  Result<bool> Frozen() const;
  // Returns when the kernel says so in cgroup.events. kDeadlineExceeded after limit.
  asio::awaitable<Result<>> Freeze(asio::any_io_executor executor, bool frozen, std::chrono::seconds limit) const;
  // Kills all processes, waits until they are gone, and removes the directory, those below, and those made above it.
  asio::awaitable<Result<>> Remove(asio::any_io_executor executor, std::chrono::seconds limit) const;

 private:
  Result<> RemoveDirectories() const;

  UniqueFd fd_;
  std::string mount_;
  std::string path_;
  size_t made_ = 0;  // how many of the last components this made
};

// Waits until the kernel has changed a file of a cgroup since it was last read through fd (cgroup.events,
// memory.events).
asio::awaitable<Result<>> WaitChanged(asio::any_io_executor executor, int fd, std::chrono::seconds limit);

// Waits for kills for want of memory, one after the other.
class OomWatch {
 public:
  // Returns once for every growth of oom_kill in memory.events. kUnimplemented: the guest has no memory controller;
  // kNotFound: Cancel was called, or the cgroup is gone.
  asio::awaitable<Result<>> Wait(asio::any_io_executor executor, const Cgroup& cgroup);
  void Cancel();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace kata::agent
