// SPDX-License-Identifier: Apache-2.0
// The sandbox process's own mount namespace, and the host's, in which paths of the host are looked up.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace kata::sandbox {

// Both namespaces of a process with one thread. Copies are equivalent. Default-constructed: the process has no
// namespace of its own, and OnHost only calls the function.
class MountNamespaces {
 public:
  // Moves this process into a new mount namespace. Later mounts of the host propagate into it, and none propagates out.
  // Where the host's "/" is private, none propagates in either. Where this process could not go back, as root of a user
  // namespace that has no mount namespace of its own, OnHost stays in the new one, which has the mounts of now.
  static Result<MountNamespaces> EnterPrivate();

  // Runs a function, which returns a Result, in the host's namespace. The function sees the host's present mounts, also
  // where mounts do not propagate in, and after DropHostMounts. Working directory and root are "/" afterwards
  // (setns(2)). Aborts the process if it cannot come back.
  template <typename Function>
  auto OnHost(Function function) const -> decltype(function()) {
    if (!spaces_) return function();
    TRY(Enter(spaces_->host));
    const Return back(*this);
    return function();
  }

 private:
  struct Spaces {
    UniqueFd host;
    UniqueFd own;
  };
  // Comes back on every path out of OnHost, also when a library throws.
  struct Return {
    explicit Return(const MountNamespaces& spaces) : spaces(spaces) {}
    Return(const Return&) = delete;
    Return& operator=(const Return&) = delete;
    ~Return() { spaces.ComeBack(); }
    const MountNamespaces& spaces;
  };
  static Result<> Enter(const UniqueFd& space);
  void ComeBack() const;

  std::shared_ptr<const Spaces> spaces_;
};

// Detaches the host's mounts from this process's own namespace, so that the host can unmount them without delay. Mounts
// at, above and below `keep` stay, and so do /proc and /dev.
Result<> DropHostMounts(const std::string& keep);

}  // namespace kata::sandbox
