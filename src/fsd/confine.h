// SPDX-License-Identifier: Apache-2.0
// Takes from the server all that it does not need, before the first byte of a guest is read.
#pragma once

#include <functional>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace kata::fsd {

// Forks, and serves in the child, whose namespaces are its own: mount, pid, network, ipc, uts and cgroup. The parent
// has no rights left, waits for the child, and ends as it has ended: with its exit status, or 128 + the signal. The
// child dies with the parent (SIGKILL); body's result is its exit status. The process must have only one thread, and
// keeps only stdio and the descriptor `kept`, which has the number 3 in body. An error: there was no fork.
[[noreturn]] void RunInNamespaces(int kept, const std::function<int(UniqueFd kept)>& body);

// The file system as the server sees it.
struct View {
  UniqueFd root;       // O_PATH: the shared directory, which is the process's root and working directory
  UniqueFd proc_self;  // O_PATH: what /proc/self would be, to open descriptors again
};

// Makes the directory at this absolute path the root of the process's own mount namespace, with the mounts below it;
// all else is gone. What is mounted there by others later appears, and what they unmount disappears.
Result<View> EnterRoot(const std::string& directory);

// For ever, also for threads that are made later, and without any way back: the capabilities that the server needs to
// make files of every owner and nothing else, no supplementary groups, no_new_privs. Those that it has not got are no
// error.
Result<> DropCapabilities();

// Kills the process when one of its threads makes another system call than the server needs: all threads that there
// are, and those that could be made. No thread can be made afterwards.
Result<> FilterSystemCalls();

}  // namespace kata::fsd
