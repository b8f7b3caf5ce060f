// SPDX-License-Identifier: Apache-2.0
// As whom a thread acts on the host's files while it serves a request.
//
// Why not files that are made as root and given away afterwards: between the two calls others would see a file of root
// with the caller's mode. With setfsuid(2) and umask(2), which concern one thread only, the host's kernel itself makes
// the file with its owner, the group of a directory with the set-group-id bit, the directory's default ACL or the
// caller's umask, all at once, and a host that counts (quotas, NFS with root_squash) sees who it was.
// Rights are another matter: the thread keeps its capabilities, since the guest's kernel has checked the caller's.
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace kata::fsd {

struct Caller {
  uint32_t uid = 0;
  uint32_t gid = 0;
  // Without CAP_FSETID the host's kernel clears set-user-id and set-group-id bits as it does for a user's write.
  bool fsetid = true;
};

// Makes this thread act as the caller, until the next call. System calls are made only for what changes.
// EOVERFLOW: this user namespace has no such user or group; the thread then acts as before, or as root.
// Any other error: the first call of a thread could not give it a working directory and a umask of its own (unshare(2)
// CLONE_FS). The kernel clears the parent-death signal (prctl(2)) of a thread that changes its user: that signal must
// be another thread's.
int Become(const Caller& caller);

// Sets this thread's umask, after the first Become.
void SetUmask(mode_t mask);

// Makes `directory` this thread's working directory unless it already is; after the first Become.
int EnterDirectory(int directory);

}  // namespace kata::fsd
