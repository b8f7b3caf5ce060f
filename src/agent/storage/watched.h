// SPDX-License-Identifier: Apache-2.0
// watchable-bind: a small directory of the host (a secret, a config map) as a copy in the guest that is kept up to
// date. inotify hears nothing of changes behind virtio-fs; in a copy, the containers' own watches work.
#pragma once

#include <sys/stat.h>

#include <map>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace kata::agent {

// The copy of one directory.
class Watched {
 public:
  // source and target are directories. Nothing is copied yet.
  Watched(UniqueFd source, UniqueFd target) : source_(std::move(source)), target_(std::move(target)) {}

  // Whether the source is small enough to be copied: at most 16 files with 1 MiB in all.
  Result<bool> Fits() const;
  // Takes over what has changed since the last call: directories and files first, then the link ..data, which the
  // kubelet swaps when the new files are complete, then other links, and last what is gone. After an error the next
  // call tries again.
  Result<> Update();

 private:
  struct Entry {
    struct stat status {};
    std::string link;  // a link's target
    bool Same(const Entry& other) const;
  };
  using Tree = std::map<std::string, Entry>;  // by path below the directory: a directory comes before what is in it

  Result<Tree> Look() const;
  static Result<> LookInto(int directory, const std::string& prefix, Tree* tree);
  Result<> Copy(const std::string& path, const Entry& entry) const;

  UniqueFd source_;
  UniqueFd target_;
  Tree known_;
};

}  // namespace kata::agent
