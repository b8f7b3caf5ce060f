// SPDX-License-Identifier: Apache-2.0
// The mount namespace that a sandbox process lives in, and the host's, in which paths of the host mean something.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace kata::sandbox {

// Both namespaces of a process with one thread; copies are the same. Default-constructed: the process has none of its
// own.
class MountNamespaces {
 public:
  // Moves this process into a mount namespace of its own. Mounts of the host come in, none goes out; where the host's
  // "/" is private none comes in either.
  static Result<MountNamespaces> EnterPrivate();

  // Runs a function, which returns a Result, in the host's namespace: what it opens or clones there is of today, also
  // where mounts do not come in, and after DropHostMounts. The working directory and root are "/" afterwards.
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

// Detaches the mounts of the host from this process's own namespace, so that they can be unmounted on the host without
// delay. What is mounted at or below `keep` stays.
Result<> DropHostMounts(const std::string& keep);

}  // namespace kata::sandbox
