// SPDX-License-Identifier: Apache-2.0
// A network namespace as a descriptor, and work in it. The process must have a single thread, which enters the
// namespace and comes back.
#pragma once

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace kata::sandbox::network {

// Whether this process could leave its network namespace and come back. As root of a user namespace it cannot as long
// as it is in the host's.
bool CanReturn();

class Namespace {
 public:
  // From a descriptor, or the path, of a network namespace. kInvalidArgument: it is something else.
  static Result<Namespace> Of(UniqueFd fd);
  static Result<Namespace> Open(const std::string& path);
  // A new network namespace without a path. It exists as long as its descriptors and the processes in it.
  static Result<Namespace> New();

  int fd() const { return fd_.get(); }
  Result<UniqueFd> Duplicate() const;
  // Whether it is the host's own: that of process 1, or, where that may not be seen, this process's. In a user
  // namespace one that belongs to another, from above.
  Result<bool> IsHosts() const;

  // Makes it this process's for good: where CanReturn is false, Do works only in the namespace in which the process is.
  Result<> Enter() const;

  // Calls `work`, which returns a Result, in this namespace, and comes back; aborts the process if it cannot come back,
  // and fails with EPERM if that is known before. Sockets and taps that `work` opens stay in this namespace.
  template <typename Work>
  auto Do(Work work) const -> decltype(work()) {
    const Visit visit(fd_.get());
    if (visit.error != 0) return FailWith(visit.error, "cannot enter the network namespace");
    return work();
  }

 private:
  struct Visit {
    explicit Visit(int there);
    ~Visit();
    Visit(const Visit&) = delete;
    Visit& operator=(const Visit&) = delete;
    int error = 0;
    UniqueFd home;
  };
  explicit Namespace(UniqueFd fd) : fd_(std::move(fd)) {}

  UniqueFd fd_;
};

}  // namespace kata::sandbox::network
