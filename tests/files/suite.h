// SPDX-License-Identifier: Apache-2.0
// What the areas of the suite share: how a fact is printed, small helpers around system calls, and acting as somebody
// else. A fact is one line, "AREA.NAME: RESULT", that says what a file system does and is the same on every run: no
// inode numbers, no times of the clock, no sizes of the disk.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.h"

namespace kata::files {

// Where an area works. Its working directory is an empty directory of its own.
struct Place {
  std::string here;   // the path of that directory
  std::string there;  // its path by the second mount; the same as here where there is no second one
};

// The name before those of the facts that follow.
void BeginArea(std::string_view name);
// Prints one fact. name: words with hyphens; the area comes before it.
void Fact(std::string_view name, std::string_view result);
// The result of a system call: its number, or the name of errno.
void Call(std::string_view name, long value);
// "ok" or the name of errno: for a call whose number (a descriptor, an address) is not a fact.
void Done(std::string_view name, bool good);
void Is(std::string_view name, bool value);
// A descriptor, or the name of errno as the fact; owned by the caller.
UniqueFd Opened(std::string_view name, int fd);

// "EACCES".
std::string ErrorName(int number);
// A number as text, or the name of errno for a negative one.
std::string Answer(long value);

// A result that is not a fact.
inline void Ignore(long) {}

// Type, mode and owner, not following a symlink: "file 0644 0:0", or the name of errno.
std::string Look(const std::string& path);
std::string Look(int fd);
// All zero when there is none.
struct stat Status(const std::string& path);
struct stat Status(int fd);
// What is in a file, at most 4 KiB of it, or the name of errno.
std::string Contents(const std::string& path);
// What an open file has from this offset on.
std::string ContentsAt(int fd, off_t offset, size_t size = 4096);

// A file with this content and exactly this mode, made or overwritten. Whether it could be made is not a fact.
void Make(const std::string& path, std::string_view content = "", mode_t mode = 0644, uid_t uid = 0, gid_t gid = 0);
// A directory with exactly this mode.
void MakeDir(const std::string& path, mode_t mode = 0755, uid_t uid = 0, gid_t gid = 0);
// write(2) of the whole text, its number or -1 with errno.
long Write(int fd, std::string_view text);
// Opens, writes at the end, closes: for a change that is not itself the fact.
void Append(const std::string& path, std::string_view text);

// Somebody who has no capability but those named.
struct Who {
  uid_t uid = 1000;
  gid_t gid = 1000;
  std::vector<gid_t> groups = {};
  uint64_t capabilities = 0;  // bits, 1 << CAP_*
};
// Runs it in a thread with these credentials. The thread has this process's descriptors and working directory.
void As(const Who& who, const std::function<void()>& function);
// Runs it in a child and waits: the child's exit status, or 128 + the signal that ended it.
int InChild(const std::function<int()>& function);

// The id outside that is 0 in the user namespaces of these two; 65,536 are mapped.
constexpr uid_t kFirstOfNamespace = 100000;
// Maps the ids of a process that has just entered a user namespace. False with errno.
bool MapIds(pid_t pid);
// Runs it as root of a user namespace and a mount namespace of its own, in a child, and waits. prepare, with the
// child's pid, runs in the caller before the child has left its mount namespace.
void InUserNamespace(const std::function<void()>& function, const std::function<void(pid_t)>& prepare = {});

// So long that two times of a file system with the resolution of a timer tick differ.
void Tick();

inline bool operator<(const timespec& a, const timespec& b) {
  return a.tv_sec != b.tv_sec ? a.tv_sec < b.tv_sec : a.tv_nsec < b.tv_nsec;
}
inline bool Same(const timespec& a, const timespec& b) { return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec; }

// Two processes in step: each side tells the other, and waits for it. A side that has waited ten seconds gives up.
class Steps {
 public:
  Steps();
  // After fork, in each: which end it has.
  void Parent();
  void Child();
  void Tell();
  // False when the other side is gone or silent.
  bool Await();

 private:
  UniqueFd read_[2], write_[2];
  int in_ = -1, out_ = -1;
};

}  // namespace kata::files
