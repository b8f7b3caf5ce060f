// SPDX-License-Identifier: Apache-2.0
// What the host's kernel tells of changes to files (fanotify(7)), and whether this process made them itself.
//
// Why fanotify and not inotify: an unprivileged group (Linux 5.13) is told which changes are its own process's, so what
// the guest has done itself is known for certain and is not told to it a second time; one event says both names of a
// move (5.17); and events name files by handles, so nothing has to be kept open.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace kata::fsd {

// One change. Views live as long as the call that gets it.
struct HostChange {
  // An entry of a directory.
  struct Entry {
    std::string_view directory;  // FidOf; empty: not told
    std::string_view name;       // ".": the directory itself
  };

  uint64_t mask = 0;      // FAN_*; several, if they came so quickly that the kernel has joined them
  bool own = false;       // this process's
  std::string_view file;  // FidOf the file itself; empty: not told
  Entry entry;            // for a move the old one
  Entry new_entry;        // of a move
};

class HostChanges {
 public:
  // The host allows each user a number of groups. So it is made as `user`, who should have no other.
  // Fails on kernels before 5.17. For a moment the calling process has a thread more.
  static Result<std::unique_ptr<HostChanges>> Open(uint32_t user);

  // What names a file here, whatever mount it is found by: its file system and a handle, which fanotify(7) calls a fid.
  // Empty, and errno: its file system has none.
  static std::string FidOf(int path);

  // Adds FAN_* to, or takes them from, what is told of a file. path: the name of an O_PATH descriptor of it in
  // `directory` (/proc/self/fd). Returns 0 or errno: EOPNOTSUPP, ENODEV, EXDEV: not in this file system; ENOSPC: too
  // many files.
  int Add(int directory, const char* path, uint64_t mask) const;
  int Remove(int directory, const char* path, uint64_t mask) const;
  void RemoveAll() const;

  // Readable when there are changes.
  int fd() const { return group_.get(); }
  // Calls `tell` for the changes that there are, or for some of them. overflow: changes were lost.
  void Read(const std::function<void(const HostChange&)>& tell, bool* overflow);

 private:
  explicit HostChanges(UniqueFd group);

  static constexpr size_t kBuffer = 16UL << 10U;

  const UniqueFd group_;
  std::string buffer_;
};

// Takes one event of the kernel's apart; false: it is not well-formed. For tests.
bool ParseChange(std::string_view event, HostChange* change);

}  // namespace kata::fsd
