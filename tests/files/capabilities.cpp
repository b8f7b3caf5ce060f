// SPDX-License-Identifier: Apache-2.0
// What each capability alone lets a user do to files that are not the user's.
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>

#include "areas.h"

namespace kata::files {
namespace {

struct Capability {
  const char* name;
  int bit;
};

constexpr Capability kCapabilities[] = {{"none", -1},
                                        {"chown", CAP_CHOWN},
                                        {"dac-override", CAP_DAC_OVERRIDE},
                                        {"dac-read-search", CAP_DAC_READ_SEARCH},
                                        {"fowner", CAP_FOWNER},
                                        {"fsetid", CAP_FSETID},
                                        {"mknod", CAP_MKNOD},
                                        {"setfcap", CAP_SETFCAP},
                                        {"linux-immutable", CAP_LINUX_IMMUTABLE},
                                        {"lease", CAP_LEASE},
                                        {"sys-admin", CAP_SYS_ADMIN}};

struct Action {
  const char* name;
  std::function<long()> run;
};

long CloseOf(int fd) {
  if (fd >= 0) close(fd);
  return fd < 0 ? -1 : 0;
}

// Sets the flag, or takes it away; the others stay.
long SetFlag(const char* path, int flag, bool on) {
  const UniqueFd fd(open(path, O_RDONLY));
  int flags = 0;
  if (ioctl(fd.get(), FS_IOC_GETFLAGS, &flags) != 0) return -1;
  flags = on ? flags | flag : flags & ~flag;
  return ioctl(fd.get(), FS_IOC_SETFLAGS, &flags);
}

const std::vector<Action>& Actions() {
  static const vfs_cap_data kFileCapability = {VFS_CAP_REVISION_2, {{1U << CAP_NET_RAW, 0}, {0, 0}}};
  static const std::vector<Action> kActions = {
      {"chown", [] { return chown("c/readable", 1000, 1000); }},
      {"read", [] { return CloseOf(open("c/secret", O_RDONLY)); }},
      {"write", [] { return CloseOf(open("c/secret", O_WRONLY)); }},
      {"search", [] { return access("c/closed/inner", F_OK); }},
      {"list", [] { return CloseOf(open("c/closed", O_RDONLY | O_DIRECTORY)); }},
      {"creat", [] { return CloseOf(open("c/new", O_WRONLY | O_CREAT, 0666)); }},
      {"unlink", [] { return unlink("c/removed"); }},
      {"sticky-unlink", [] { return unlink("sticky/victim"); }},
      {"chmod", [] { return chmod("c/secret", 0604); }},
      {"utimes",
       [] {
         const timespec times[2] = {{1, 0}, {2, 0}};
         return utimensat(AT_FDCWD, "c/readable", times, 0);
       }},
      {"mknod", [] { return mknod("sticky/device", S_IFCHR | 0666, makedev(1, 3)); }},
      {"setcap",
       [] { return setxattr("c/readable", "security.capability", &kFileCapability, sizeof kFileCapability, 0); }},
      {"trusted-xattr", [] { return setxattr("c/readable", "trusted.a", "b", 1, 0); }},
      {"user-xattr", [] { return setxattr("c/readable", "user.a", "b", 1, 0); }},
      {"immutable",
       [] {
         const long result = SetFlag("mine", FS_IMMUTABLE_FL, true);
         const int error = errno;
         Ignore(SetFlag("mine", FS_IMMUTABLE_FL, false));
         errno = error;
         return result;
       }},
      {"lease",
       [] {
         const UniqueFd fd(open("c/readable", O_RDONLY));
         return fcntl(fd.get(), F_SETLEASE, F_RDLCK);
       }},
      {"noatime", [] { return CloseOf(open("c/readable", O_RDONLY | O_NOATIME)); }},
      {"keep-setgid",
       [] {
         const UniqueFd fd(open("writable", O_WRONLY));
         Ignore(Write(fd.get(), "x"));
         return static_cast<long>((Status("writable").st_mode & 06000) >> 9);
       }},
      {"handle", [] {
         alignas(file_handle) char memory[sizeof(file_handle) + MAX_HANDLE_SZ] = {};
         auto* handle = reinterpret_cast<file_handle*>(memory);
         handle->handle_bytes = MAX_HANDLE_SZ;
         int mount = 0;
         if (name_to_handle_at(AT_FDCWD, "c", handle, &mount, 0) != 0) return -1L;
         const UniqueFd here(open(".", O_RDONLY));
         return CloseOf(open_by_handle_at(here.get(), handle, O_RDONLY));
       }}};
  return kActions;
}

}  // namespace

void Capabilities(const Place&) {
  for (const Capability& capability : kCapabilities) {
    MakeDir("c");
    MakeDir("c/closed", 0700);
    MakeDir("sticky", 01777);
    Ignore(unlink("c/new"));
    Ignore(unlink("sticky/device"));
    Ignore(unlink("c/readable"));
    for (const char* name : {"c/closed/inner", "c/removed", "sticky/victim", "c/readable"}) Make(name, "text");
    Make("c/secret", "text", 0600);
    Make("writable", "text", 06777, 1001, 1001);
    Make("mine", "text", 0644, 1000, 1000);
    Who who = {};
    if (capability.bit >= 0) who.capabilities = 1ULL << capability.bit;
    As(who, [&] {
      for (const Action& action : Actions()) {
        const long result = action.run();
        Call(std::string(capability.name) + "-" + action.name, result);
      }
    });
  }
}

}  // namespace kata::files
