// SPDX-License-Identifier: Apache-2.0
// watchable-bind: keeps a copy in the guest of a small directory of the host (a secret, a config map). inotify(7) may
// not report changes that the host makes behind virtio-fs (a virtiofsd tells none); on the copy it does.
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
  // source and target are descriptors of directories. Copies nothing yet.
  Watched(UniqueFd source, UniqueFd target) : source_(std::move(source)), target_(std::move(target)) {}

  // Whether the source is small enough to be copied: at most 16 regular files, 1 MiB in all.
  Result<bool> Fits() const;
  // Copies the changes since the last call: first directories and files, then the link ..data, which the kubelet swaps
  // when all new files are complete, then other links; removals come last. So readers of the copy see either the old
  // version or the new one. After an error the next call tries again. kResourceExhausted: the source has grown to more
  // than 1024 entries.
  Result<> Update();

 private:
  struct Entry {
    struct stat status {};
    std::string link;  // target, of a symbolic link
    bool Same(const Entry& other) const;
  };
  using Tree = std::map<std::string, Entry>;  // by relative path; a directory sorts before its entries

  Result<Tree> Look() const;
  static Result<> LookInto(int directory, const std::string& prefix, Tree* tree);
  Result<> Copy(const std::string& path, const Entry& entry) const;

  UniqueFd source_;
  UniqueFd target_;
  Tree known_;  // the entries that were copied
};

}  // namespace kata::agent
