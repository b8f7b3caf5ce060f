// SPDX-License-Identifier: Apache-2.0
// A network namespace as a descriptor, and work that is done in it: this process has one thread, which goes there and
// comes back.
#pragma once

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace kata::sandbox::network {

class Namespace {
 public:
  // A descriptor or a path of a network namespace; kInvalidArgument when it is one of something else.
  static Result<Namespace> Of(UniqueFd fd);
  static Result<Namespace> Open(const std::string& path);
  // A new one, which nobody else knows of; it lives as long as its descriptors and the processes in it.
  static Result<Namespace> New();

  int fd() const { return fd_.get(); }
  Result<UniqueFd> Duplicate() const;
  // Whether it is the VM's own: that of process 1, or, where that may not be seen, this process's.
  Result<bool> IsHosts() const;

  // Does the work, which returns a Result, in this namespace. Sockets and taps that it opens stay there.
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
