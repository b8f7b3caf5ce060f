// SPDX-License-Identifier: Apache-2.0
// What takes set-user-id, set-group-id and file capabilities from a file, and what leaves them.
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>

#include "areas.h"

namespace kata::files {
namespace {

// Anybody may write to it, so that who writes decides.
constexpr mode_t kBoth = 06777, kNoGroupExec = 06767;

void SetCapability(const char* path) {
  const vfs_cap_data capability = {VFS_CAP_REVISION_2, {{1U << CAP_NET_RAW, 0}, {0, 0}}};
  Ignore(setxattr(path, "security.capability", &capability, sizeof capability, 0));
}

// The mode alone is asked for first: what a kernel remembers of it may be older than what it has to ask for otherwise.
std::string After(const char* path) {
  struct statx alone = {};
  struct stat all = {};
  Ignore(statx(AT_FDCWD, path, 0, STATX_MODE, &alone));
  const std::string look = Look(path) + (getxattr(path, "security.capability", nullptr, 0) >= 0 ? " capable" : "");
  Ignore(stat(path, &all));
  return (alone.stx_mode & 07777U) == (all.st_mode & 07777U) ? look : look + " after another mode";
}

// A fresh file with everything that could go, and what is left after the action.
void Case(const std::string& fact, const Who* who, const std::function<void()>& action, mode_t mode = kBoth,
          uid_t uid = 1000, gid_t gid = 1000) {
  Ignore(unlink("f"));
  Make("f", "0123456789", mode, uid, gid);
  SetCapability("f");
  if (who != nullptr) {
    As(*who, action);
  } else {
    action();
  }
  Fact(fact, After("f"));
}

struct Action {
  const char* name;
  std::function<void()> run;
};

void WriteTo(int flags) {
  const UniqueFd fd(open("f", flags));
  Ignore(Write(fd.get(), "x"));
}

}  // namespace

void KillPriv(const Place&) {
  const Who owner = {}, other = {.uid = 1001, .gid = 1001};
  const Who keeper = {.uid = 1001, .gid = 1001, .capabilities = 1ULL << CAP_FSETID};
  Make("source", "from the source");
  const std::vector<Action> actions = {{"nothing", [] {}},
                                       {"open-for-writing", [] { const UniqueFd fd(open("f", O_WRONLY)); }},
                                       {"write", [] { WriteTo(O_WRONLY); }},
                                       {"append", [] { WriteTo(O_WRONLY | O_APPEND); }},
                                       {"write-nothing",
                                        [] {
                                          const UniqueFd fd(open("f", O_WRONLY));
                                          Ignore(write(fd.get(), "", 0));
                                        }},
                                       {"truncate", [] { Ignore(truncate("f", 3)); }},
                                       {"truncate-same-size", [] { Ignore(truncate("f", 10)); }},
                                       {"ftruncate",
                                        [] {
                                          const UniqueFd fd(open("f", O_WRONLY));
                                          Ignore(ftruncate(fd.get(), 3));
                                        }},
                                       {"open-trunc", [] { const UniqueFd fd(open("f", O_WRONLY | O_TRUNC)); }},
                                       {"fallocate",
                                        [] {
                                          const UniqueFd fd(open("f", O_WRONLY));
                                          Ignore(fallocate(fd.get(), 0, 0, 4096));
                                        }},
                                       {"mmap-write",
                                        [] {
                                          const UniqueFd fd(open("f", O_RDWR));
                                          void* memory =
                                              mmap(nullptr, 10, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
                                          if (memory == MAP_FAILED) return;
                                          *static_cast<volatile char*>(memory) = 'm';
                                          Ignore(msync(memory, 10, MS_SYNC));
                                          munmap(memory, 10);
                                        }},
                                       {"sendfile",
                                        [] {
                                          const UniqueFd from(open("source", O_RDONLY)), to(open("f", O_WRONLY));
                                          Ignore(sendfile(to.get(), from.get(), nullptr, 5));
                                        }},
                                       {"copy-file-range",
                                        [] {
                                          const UniqueFd from(open("source", O_RDONLY)), to(open("f", O_WRONLY));
                                          Ignore(copy_file_range(from.get(), nullptr, to.get(), nullptr, 5, 0));
                                        }},
                                       {"write-direct", [] {
                                          const UniqueFd fd(open("f", O_WRONLY | O_DIRECT));
                                          alignas(4096) static char block[4096];
                                          Ignore(write(fd.get(), block, sizeof block));
                                        }}};
  for (const Action& action : actions) {
    const std::string name = action.name;
    Case("root-" + name, nullptr, action.run);
    Case("owner-" + name, &owner, action.run);
    Case("other-" + name, &other, action.run);
  }
  Case("fsetid-write", &keeper, [] { WriteTo(O_WRONLY); });
  Case("fsetid-truncate", &keeper, [] { Ignore(truncate("f", 3)); });
  Case(
      "other-write-no-group-exec", &other, [] { WriteTo(O_WRONLY); }, kNoGroupExec);
  Case(
      "other-truncate-no-group-exec", &other, [] { Ignore(truncate("f", 3)); }, kNoGroupExec);

  Case("root-chown", nullptr, [] { Ignore(chown("f", 1001, 1001)); });
  Case("root-chown-same", nullptr, [] { Ignore(chown("f", 1000, 1000)); });
  Case("root-chown-nothing", nullptr, [] { Ignore(chown("f", -1, -1)); });
  Case("root-chgrp", nullptr, [] { Ignore(chown("f", -1, 1001)); });
  Case(
      "root-chown-no-group-exec", nullptr, [] { Ignore(chown("f", 1001, 1001)); }, kNoGroupExec);
  Case("owner-chgrp", &owner, [] { Ignore(chown("f", -1, 1000)); });
  const Who capable_owner = {.groups = {2000}};
  Case("owner-chgrp-supplementary", &capable_owner, [] { Ignore(chown("f", -1, 2000)); });
  Case("owner-chmod", &owner, [] { Ignore(chmod("f", 06755)); });
  Case(
      "owner-not-in-group-chmod", &owner, [] { Ignore(chmod("f", 06755)); }, kBoth, 1000, 3000);
  Case(
      "owner-fsetid-not-in-group-chmod", nullptr,
      [] { As({.capabilities = 1ULL << CAP_FSETID}, [] { Ignore(chmod("f", 06755)); }); }, kBoth, 1000, 3000);
  Case("root-chmod", nullptr, [] { Ignore(chmod("f", 0777)); });
  Case("root-link", nullptr, [] {
    Ignore(link("f", "g"));
    Ignore(unlink("g"));
  });
  Case("root-rename", nullptr, [] {
    Ignore(rename("f", "g"));
    Ignore(rename("g", "f"));
  });
  Case("owner-setxattr", &owner, [] { Ignore(setxattr("f", "user.x", "y", 1, 0)); });
  Case("owner-utimes", &owner, [] { Ignore(utimensat(AT_FDCWD, "f", nullptr, 0)); });

  // Of a file that is open before: the first write counts, not the open.
  Case("other-write-by-open-fd-set-later", nullptr, [&] {
    const UniqueFd fd(open("f", O_WRONLY));
    As(other, [&] { Ignore(Write(fd.get(), "1")); });
    Ignore(chmod("f", kBoth));
    SetCapability("f");
    As(other, [&] { Ignore(Write(fd.get(), "2")); });
  });
  MakeDir("dir", 06777, 1000, 1000);
  Ignore(chown("dir", 1001, 1001));
  Fact("root-chown-dir", Look("dir"));
  As({.uid = 1001, .gid = 1001}, [] { Make("dir/x"); });
  Fact("other-creat-in-dir", Look("dir"));
}

}  // namespace kata::files
