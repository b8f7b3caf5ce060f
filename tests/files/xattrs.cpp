// SPDX-License-Identifier: Apache-2.0
// Extended attributes: of users, of root (trusted.*), of the kernel (security.*).
#include <fcntl.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "areas.h"

namespace kata::files {
namespace {

std::string Get(const char* path, const char* name) {
  std::string value(65536, '\0');
  const ssize_t size = lgetxattr(path, name, value.data(), value.size());
  if (size < 0) return ErrorName(errno);
  value.resize(size);
  return value.size() <= 64 ? "'" + value + "'" : std::to_string(value.size()) + " bytes";
}

long Set(const char* path, const char* name, std::string_view value, int flags = 0) {
  return lsetxattr(path, name, value.data(), value.size(), flags);
}

std::string List(const char* path) {
  std::string names(65536, '\0');
  const ssize_t size = llistxattr(path, names.data(), names.size());
  if (size < 0) return ErrorName(errno);
  std::vector<std::string> sorted;
  for (ssize_t at = 0; at < size; at += static_cast<ssize_t>(sorted.back().size()) + 1)
    sorted.emplace_back(names.data() + at);
  std::sort(sorted.begin(), sorted.end());
  std::string text;
  for (const std::string& name : sorted) text += (text.empty() ? "" : " ") + name;
  return text;
}

void OfUsers() {
  Make("file");
  Call("user-set", Set("file", "user.a", "value"));
  Fact("user-get", Get("file", "user.a"));
  Call("user-size", lgetxattr("file", "user.a", nullptr, 0));
  char small[2];
  Call("user-get-too-small", lgetxattr("file", "user.a", small, sizeof small));
  Call("user-create-existing", Set("file", "user.a", "x", XATTR_CREATE));
  Call("user-replace-missing", Set("file", "user.b", "x", XATTR_REPLACE));
  Call("user-replace", Set("file", "user.a", "other", XATTR_REPLACE));
  Call("user-set-empty", Set("file", "user.empty", ""));
  Fact("user-get-empty", Get("file", "user.empty"));
  Call("user-set-binary", Set("file", "user.binary", std::string_view("\0\1\xff", 3)));
  Fact("user-get-binary", Get("file", "user.binary"));
  Fact("user-list", List("file"));
  Call("user-list-too-small", llistxattr("file", small, sizeof small));
  Fact("user-get-missing", Get("file", "user.missing"));
  Call("user-remove", lremovexattr("file", "user.binary"));
  Call("user-remove-missing", lremovexattr("file", "user.missing"));
  const std::string longest = "user." + std::string(250, 'n'), longer = longest + "n";
  Call("user-longest-name", Set("file", longest.c_str(), "x"));
  Call("user-too-long-name", Set("file", longer.c_str(), "x"));
  Call("user-no-name", Set("file", "user.", "x"));
  Make("large");
  Call("user-3000-bytes", Set("large", "user.large", std::string(3000, 'v')));
  Fact("user-3000-bytes-get", Get("large", "user.large"));
  Call("user-64k-and-one", Set("large", "user.larger", std::string(65537, 'v')));
  {
    const UniqueFd fd(open("file", O_RDONLY));
    Call("user-fset-read-only-fd", fsetxattr(fd.get(), "user.fd", "x", 1, 0));
    Ignore(rename("file", "renamed"));
    char value[8];
    Call("user-fget-after-rename", fgetxattr(fd.get(), "user.fd", value, sizeof value));
    Ignore(unlink("renamed"));
    Call("user-fset-after-unlink", fsetxattr(fd.get(), "user.gone", "x", 1, 0));
    Call("user-fget-after-unlink", fgetxattr(fd.get(), "user.gone", value, sizeof value));
  }
  Make("path");
  const UniqueFd path(open("path", O_PATH));
  Call("user-fset-path-fd", fsetxattr(path.get(), "user.fd", "x", 1, 0));

  Ignore(symlink("path", "symlink"));
  Call("user-on-symlink", Set("symlink", "user.a", "x"));
  Fact("user-get-symlink", Get("symlink", "user.a"));
  Ignore(mkfifo("fifo", 0644));
  Call("user-on-fifo", Set("fifo", "user.a", "x"));
  MakeDir("dir");
  Call("user-on-dir", Set("dir", "user.a", "x"));
  Fact("user-get-dir", Get("dir", "user.a"));
  MakeDir("sticky", 01777);
  Make("read-only", "", 0444);
  Make("secret", "", 0);
  Ignore(Set("secret", "user.a", "x"));
  As({}, [] {
    Call("user-in-sticky-dir-of-other", Set("sticky", "user.a", "x"));
    Call("user-without-write", Set("read-only", "user.a", "x"));
    Fact("user-get-without-read", Get("secret", "user.a"));
    Fact("user-list-without-read", List("secret"));
  });
  Make("changed");
  const timespec before = Status("changed").st_ctim, modified = Status("changed").st_mtim;
  Tick();
  Ignore(Set("changed", "user.a", "x"));
  Is("set-changes-ctime", before < Status("changed").st_ctim);
  Is("set-changes-mtime", !Same(modified, Status("changed").st_mtim));
}

void OfRoot() {
  Make("trusted");
  Call("trusted-set", Set("trusted", "trusted.a", "value"));
  Fact("trusted-get", Get("trusted", "trusted.a"));
  Call("trusted-set-overlay-opaque", Set("trusted", "trusted.overlay.opaque", "y"));
  Fact("trusted-list", List("trusted"));
  As({}, [] {
    Call("trusted-set-by-user", Set("trusted", "trusted.b", "x"));
    Fact("trusted-get-by-user", Get("trusted", "trusted.a"));
    Fact("trusted-list-by-user", List("trusted"));
  });
  Call("trusted-remove", lremovexattr("trusted", "trusted.a"));
  Ignore(symlink("trusted", "trusted-link"));
  Call("trusted-on-symlink", Set("trusted-link", "trusted.a", "x"));
  Fact("trusted-get-symlink", Get("trusted-link", "trusted.a"));
  Ignore(mkfifo("trusted-fifo", 0644));
  Call("trusted-on-fifo", Set("trusted-fifo", "trusted.a", "x"));

  // The names under which a server may keep those of root: here they are what any other name of a user's is.
  Make("plain", "", 0666);
  for (const char* name : {"user.kata.trusted.a", "user.virtiofs.trusted.a", "user.overlay.opaque"}) {
    Call(std::string("server-name-set-") + name, Set("plain", name, "value"));
    Fact(std::string("server-name-get-") + name, Get("plain", name));
  }
  Fact("server-names-are-not-trusted", Get("plain", "trusted.a"));
}

void OfTheKernel() {
  Make("capable", "", 0755);
  // Version 2: CAP_NET_RAW, permitted and effective.
  vfs_cap_data capability = {VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE, {{1U << CAP_NET_RAW, 0}, {0, 0}}};
  const std::string_view value(reinterpret_cast<const char*>(&capability), sizeof capability);
  Call("capability-set", Set("capable", "security.capability", value));
  Fact("capability-get", Get("capable", "security.capability"));
  Fact("capability-list", List("capable"));
  As({}, [&] { Call("capability-set-by-user", Set("capable", "security.capability", value)); });
  Call("capability-invalid", Set("capable", "security.capability", "nonsense"));
  Call("capability-remove", lremovexattr("capable", "security.capability"));
  Make("labelled");
  Call("security-other-set", Set("labelled", "security.kata-test", "x"));
  Fact("security-other-get", Get("labelled", "security.kata-test"));
  Fact("security-other-list", List("labelled"));
  Call("security-selinux-set", Set("labelled", "security.selinux", "x"));
  Call("security-ima-set", Set("labelled", "security.ima", "x"));
  Call("system-unknown-set", Set("labelled", "system.unknown", "x"));
  Call("no-namespace-set", Set("labelled", "name", "x"));
  Call("unknown-namespace-set", Set("labelled", "kata.name", "x"));
  Fact("unknown-namespace-get", Get("labelled", "kata.name"));
}

}  // namespace

void Xattrs(const Place&) {
  OfUsers();
  OfRoot();
  OfTheKernel();
}

}  // namespace kata::files
