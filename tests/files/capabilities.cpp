// SPDX-License-Identifier: Apache-2.0
// What each capability alone lets somebody do to files: a user, root without the others, and root of a user namespace.
// A fact is what a call answers without any capability, then what it answers otherwise and with which.
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/posix_acl_xattr.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <map>

#include "areas.h"

namespace kata::files {
namespace {

struct Capability {
  const char* name;
  uint64_t bits;
};

constexpr uint64_t Bit(int capability) { return uint64_t{1} << static_cast<unsigned>(capability); }

constexpr Capability kCapabilities[] = {
    {"none", 0},
    {"chown", Bit(CAP_CHOWN)},
    {"dac-override", Bit(CAP_DAC_OVERRIDE)},
    {"dac-read-search", Bit(CAP_DAC_READ_SEARCH)},
    {"fowner", Bit(CAP_FOWNER)},
    {"fsetid", Bit(CAP_FSETID)},
    {"mknod", Bit(CAP_MKNOD)},
    {"setfcap", Bit(CAP_SETFCAP)},
    {"linux-immutable", Bit(CAP_LINUX_IMMUTABLE)},
    {"lease", Bit(CAP_LEASE)},
    {"sys-admin", Bit(CAP_SYS_ADMIN)},
    // They have no say in files: all at once are as good as none.
    {"others", Bit(CAP_KILL) | Bit(CAP_SETGID) | Bit(CAP_SETUID) | Bit(CAP_SETPCAP) | Bit(CAP_NET_RAW) |
                   Bit(CAP_IPC_LOCK) | Bit(CAP_SYS_CHROOT) | Bit(CAP_SYS_PTRACE)}};

// Whose the files are, as the files have it.
struct Owners {
  uid_t own, foreign;
};

struct Action {
  const char* name;
  // Root makes the file or the directory of the action.
  void (*prepare)(const std::string& path, const Owners& owners);
  std::string (*run)(const std::string& path);
};

constexpr vfs_cap_data kFileCapability = {VFS_CAP_REVISION_2, {{1U << CAP_NET_RAW, 0}, {0, 0}}};
constexpr char kFileCapabilityName[] = "security.capability";

std::string Opens(int fd) {
  const UniqueFd owned(fd);
  return owned ? "ok" : ErrorName(errno);
}

// What a call has left of the file.
std::string Left(long result, const std::string& path) { return result < 0 ? ErrorName(errno) : Look(path); }

template <mode_t kMode>
void Foreign(const std::string& path, const Owners& owners) {
  Make(path, "text", kMode, owners.foreign, owners.foreign);
}

template <mode_t kMode>
void Own(const std::string& path, const Owners& owners) {
  Make(path, "text", kMode, owners.own, owners.own);
}

// The caller's, of a group in which the caller is not.
template <mode_t kMode>
void OwnOfForeignGroup(const std::string& path, const Owners& owners) {
  Make(path, "text", kMode, owners.own, owners.foreign);
}

template <mode_t kMode>
void ForeignDir(const std::string& path, const Owners& owners) {
  MakeDir(path, kMode, owners.foreign, owners.foreign);
}

template <mode_t kMode>
void WithFile(const std::string& path, const Owners& owners) {
  ForeignDir<kMode>(path, owners);
  Foreign<0644>(path + "/inner", owners);
}

template <mode_t kMode>
void WithDir(const std::string& path, const Owners& owners) {
  ForeignDir<kMode>(path, owners);
  ForeignDir<0755>(path + "/inner", owners);
}

void StickyWithBoth(const std::string& path, const Owners& owners) {
  WithFile<01777>(path, owners);
  Own<0644>(path + "/own", owners);
}

void Capable(const std::string& path, const Owners& owners) {
  Foreign<0644>(path, owners);
  Ignore(setxattr(path.c_str(), kFileCapabilityName, &kFileCapability, sizeof kFileCapability, 0));
}

void Trusted(const std::string& path, const Owners& owners) {
  Foreign<0644>(path, owners);
  Ignore(setxattr(path.c_str(), "trusted.a", "b", 1, 0));
}

void WithSource(const std::string& path, const Owners& owners) {
  Foreign<06777>(path, owners);
  Make(path + ".source", "text");
}

std::string SetUserXattr(const std::string& path) { return Answer(setxattr(path.c_str(), "user.a", "b", 1, 0)); }

// One that says what the mode 0755 does.
std::string SetAcl(const std::string& path) {
  struct {
    posix_acl_xattr_header header;
    posix_acl_xattr_entry entries[3];
  } acl = {{POSIX_ACL_XATTR_VERSION}, {{1, 7, UINT32_MAX}, {4, 5, UINT32_MAX}, {32, 5, UINT32_MAX}}};
  static_assert(sizeof acl == sizeof(posix_acl_xattr_header) + 3 * sizeof(posix_acl_xattr_entry));
  return Left(setxattr(path.c_str(), "system.posix_acl_access", &acl, sizeof acl, 0), path);
}

// Nobody could remove a file that keeps one of these flags.
std::string SetFlag(const std::string& path, unsigned flag) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY));
  unsigned flags = 0;
  if (ioctl(fd.get(), FS_IOC_GETFLAGS, &flags) != 0) return ErrorName(errno);
  unsigned wanted = flags | flag;
  const std::string answer = Answer(ioctl(fd.get(), FS_IOC_SETFLAGS, &wanted));
  Ignore(ioctl(fd.get(), FS_IOC_SETFLAGS, &flags));
  return answer;
}

std::string SetTimes(const std::string& path) {
  const timespec times[2] = {{1, 0}, {2, 0}};
  return Answer(utimensat(AT_FDCWD, path.c_str(), times, 0));
}

std::string ListsTrusted(const std::string& path) {
  char names[256];
  const ssize_t size = listxattr(path.c_str(), names, sizeof names);
  if (size < 0) return ErrorName(errno);
  return std::string_view(names, static_cast<size_t>(size)).find("trusted.a") == std::string_view::npos ? "no" : "yes";
}

std::string CopyInto(const std::string& path) {
  const UniqueFd from(open((path + ".source").c_str(), O_RDONLY));
  const UniqueFd to(open(path.c_str(), O_WRONLY));
  return Left(copy_file_range(from.get(), nullptr, to.get(), nullptr, 4, 0), path);
}

std::string OpenByHandle(const std::string& path) {
  alignas(file_handle) char memory[sizeof(file_handle) + MAX_HANDLE_SZ] = {};
  auto* handle = reinterpret_cast<file_handle*>(memory);
  handle->handle_bytes = MAX_HANDLE_SZ;
  int mount = 0;
  if (name_to_handle_at(AT_FDCWD, path.c_str(), handle, &mount, 0) != 0) return ErrorName(errno);
  const UniqueFd here(open(".", O_RDONLY));
  return Opens(open_by_handle_at(here.get(), handle, O_RDONLY));
}

// access(2) would ask for the capabilities of the real user.
std::string Accesses(const std::string& path, int mode) {
  return Answer(faccessat(AT_FDCWD, path.c_str(), mode, AT_EACCESS));
}

using Path = const std::string&;

constexpr Action kActions[] = {
    {"chown", Foreign<0644>, [](Path path) { return Left(chown(path.c_str(), 5, 5), path); }},
    {"chown-setid", Foreign<06755>, [](Path path) { return Left(chown(path.c_str(), 5, 5), path); }},
    {"chgrp-to-foreign", Own<0644>, [](Path path) { return Left(chown(path.c_str(), -1, 3000), path); }},
    {"chgrp-setid", Own<06755>, [](Path path) { return Left(chown(path.c_str(), -1, getegid()), path); }},
    {"chgrp-setgid-no-exec", OwnOfForeignGroup<02745>,
     [](Path path) { return Left(chown(path.c_str(), -1, getegid()), path); }},
    {"chmod", Foreign<0600>, [](Path path) { return Left(chmod(path.c_str(), 0604), path); }},
    {"chmod-setgid", OwnOfForeignGroup<0755>, [](Path path) { return Left(chmod(path.c_str(), 02755), path); }},
    {"utimes", Foreign<0644>, SetTimes},
    {"utimes-writable", Foreign<0666>, SetTimes},
    {"utimes-now", Foreign<0644>, [](Path path) { return Answer(utimensat(AT_FDCWD, path.c_str(), nullptr, 0)); }},
    {"read", Foreign<0600>, [](Path path) { return Opens(open(path.c_str(), O_RDONLY)); }},
    {"write", Foreign<0600>, [](Path path) { return Opens(open(path.c_str(), O_WRONLY)); }},
    {"truncate", Foreign<0600>, [](Path path) { return Answer(truncate(path.c_str(), 1)); }},
    {"access-write", Foreign<0644>, [](Path path) { return Accesses(path, R_OK | W_OK); }},
    {"access-exec", Foreign<0700>, [](Path path) { return Accesses(path, X_OK); }},
    {"access-exec-none", Foreign<0600>, [](Path path) { return Accesses(path, X_OK); }},
    {"search", WithFile<0700>, [](Path path) { return Look(path + "/inner"); }},
    {"list", ForeignDir<0700>, [](Path path) { return Opens(open(path.c_str(), O_RDONLY | O_DIRECTORY)); }},
    {"creat", ForeignDir<0755>,
     [](Path path) { return Left(UniqueFd(open((path + "/new").c_str(), O_CREAT, 0644)).get(), path + "/new"); }},
    {"creat-setgid", ForeignDir<02777>,
     [](Path path) { return Left(UniqueFd(open((path + "/new").c_str(), O_CREAT, 02755)).get(), path + "/new"); }},
    {"tmpfile", ForeignDir<0755>, [](Path path) { return Opens(open(path.c_str(), O_TMPFILE | O_RDWR, 0644)); }},
    {"mkdir", ForeignDir<0755>, [](Path path) { return Left(mkdir((path + "/new").c_str(), 0755), path + "/new"); }},
    {"symlink", ForeignDir<0755>, [](Path path) { return Left(symlink("x", (path + "/new").c_str()), path + "/new"); }},
    {"unlink", WithFile<0755>, [](Path path) { return Answer(unlink((path + "/inner").c_str())); }},
    {"rmdir", WithDir<0755>, [](Path path) { return Answer(rmdir((path + "/inner").c_str())); }},
    {"rename", WithFile<0755>,
     [](Path path) { return Answer(rename((path + "/inner").c_str(), (path + "/new").c_str())); }},
    {"sticky-unlink", WithFile<01777>, [](Path path) { return Answer(unlink((path + "/inner").c_str())); }},
    {"sticky-rmdir", WithDir<01777>, [](Path path) { return Answer(rmdir((path + "/inner").c_str())); }},
    {"sticky-rename", WithFile<01777>,
     [](Path path) { return Answer(rename((path + "/inner").c_str(), (path + "/new").c_str())); }},
    {"sticky-rename-over", StickyWithBoth,
     [](Path path) { return Answer(rename((path + "/own").c_str(), (path + "/inner").c_str())); }},
    {"mknod", ForeignDir<0777>,
     [](Path path) { return Left(mknod((path + "/new").c_str(), S_IFCHR | 0644, makedev(1, 3)), path + "/new"); }},
    {"mknod-block", ForeignDir<0777>,
     [](Path path) { return Left(mknod((path + "/new").c_str(), S_IFBLK | 0644, makedev(7, 200)), path + "/new"); }},
    {"mknod-whiteout", ForeignDir<0777>,
     [](Path path) { return Left(mknod((path + "/new").c_str(), S_IFCHR, 0), path + "/new"); }},
    {"setcap", Foreign<0644>,
     [](Path path) {
       return Answer(setxattr(path.c_str(), kFileCapabilityName, &kFileCapability, sizeof kFileCapability, 0));
     }},
    {"removecap", Capable, [](Path path) { return Answer(removexattr(path.c_str(), kFileCapabilityName)); }},
    {"trusted-set", Foreign<0644>, [](Path path) { return Answer(setxattr(path.c_str(), "trusted.a", "b", 1, 0)); }},
    {"trusted-get", Trusted, [](Path path) { return Answer(getxattr(path.c_str(), "trusted.a", nullptr, 0)); }},
    {"trusted-list", Trusted, ListsTrusted},
    {"trusted-remove", Trusted, [](Path path) { return Answer(removexattr(path.c_str(), "trusted.a")); }},
    {"user-xattr", Foreign<0644>, SetUserXattr},
    {"user-xattr-sticky", ForeignDir<01777>, SetUserXattr},
    {"acl", Foreign<0644>, SetAcl},
    {"acl-setgid", OwnOfForeignGroup<02755>, SetAcl},
    {"immutable", Own<0644>, [](Path path) { return SetFlag(path, FS_IMMUTABLE_FL); }},
    {"append", Own<0644>, [](Path path) { return SetFlag(path, FS_APPEND_FL); }},
    {"nodump", Foreign<0644>, [](Path path) { return SetFlag(path, FS_NODUMP_FL); }},
    {"lease", Foreign<0644>,
     [](Path path) {
       const UniqueFd fd(open(path.c_str(), O_RDONLY));
       return Answer(fcntl(fd.get(), F_SETLEASE, F_RDLCK));
     }},
    {"noatime", Foreign<0644>, [](Path path) { return Opens(open(path.c_str(), O_RDONLY | O_NOATIME)); }},
    {"noatime-later", Foreign<0644>,
     [](Path path) {
       const UniqueFd fd(open(path.c_str(), O_RDONLY));
       return Answer(fcntl(fd.get(), F_SETFL, O_NOATIME));
     }},
    {"write-setid", Foreign<06777>,
     [](Path path) { return Left(Write(UniqueFd(open(path.c_str(), O_WRONLY)).get(), "x"), path); }},
    {"truncate-setid", Foreign<06777>, [](Path path) { return Left(truncate(path.c_str(), 1), path); }},
    {"open-truncate-setid", Foreign<06777>,
     [](Path path) { return Left(UniqueFd(open(path.c_str(), O_WRONLY | O_TRUNC)).get(), path); }},
    {"allocate-setid", Foreign<06777>,
     [](Path path) { return Left(fallocate(UniqueFd(open(path.c_str(), O_WRONLY)).get(), 0, 0, 8192), path); }},
    {"copy-setid", WithSource, CopyInto},
    {"handle", Foreign<0644>, OpenByHandle}};

// Does all of it with each capability, in directories that root has made before.
void Try(const std::string& who, uid_t id) {
  std::map<std::string, std::vector<std::pair<std::string, std::string>>> answers;
  for (const Capability& capability : kCapabilities) {
    As({.uid = id, .gid = id, .capabilities = capability.bits}, [&] {
      for (const Action& action : kActions) {
        const std::string answer = action.run(who + "/" + capability.name + "/" + action.name);
        auto& all = answers[action.name];
        size_t i = 0;
        while (i < all.size() && all[i].first != answer) ++i;
        if (i == all.size()) all.emplace_back(answer, "");
        all[i].second += std::string(" ") + capability.name;
      }
    });
  }
  for (const Action& action : kActions) {
    const auto& all = answers[action.name];
    std::string text = all.empty() ? "nothing" : all[0].first;
    for (size_t i = 1; i < all.size(); ++i) text += "; " + all[i].first + " with" + all[i].second;
    Fact(who + "-" + action.name, text);
  }
}

void Prepare(const std::string& who, const Owners& owners) {
  MakeDir(who);
  for (const Capability& capability : kCapabilities) {
    const std::string directory = who + "/" + capability.name;
    MakeDir(directory);
    for (const Action& action : kActions) action.prepare(directory + "/" + action.name, owners);
  }
}

}  // namespace

void Capabilities(const Place&) {
  Prepare("user", {.own = 1000, .foreign = 2000});
  Try("user", 1000);
  Prepare("root", {.own = 0, .foreign = 2000});
  Try("root", 0);
  Prepare("userns", {.own = kFirstOfNamespace, .foreign = kFirstOfNamespace + 2000});
  InUserNamespace([] { Try("userns", 0); });
}

}  // namespace kata::files
