// SPDX-License-Identifier: Apache-2.0
// O_TMPFILE: files without a name, and how they get one.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "areas.h"

namespace kata::files {

void Tmpfile(const Place&) {
  const UniqueFd fd = Opened("open", open(".", O_RDWR | O_TMPFILE, 0666));
  Fact("look", Look(fd.get()));
  Fact("links", std::to_string(Status(fd.get()).st_nlink));
  Call("write", Write(fd.get(), "text"));
  Fact("read", ContentsAt(fd.get(), 0));
  const std::string self = "/proc/self/fd/" + std::to_string(fd.get());
  Call("link", linkat(AT_FDCWD, self.c_str(), AT_FDCWD, "named", AT_SYMLINK_FOLLOW));
  Fact("link-look", Look("named"));
  Fact("link-links", std::to_string(Status("named").st_nlink));
  Fact("link-content", Contents("named"));
  Call("link-again", linkat(AT_FDCWD, self.c_str(), AT_FDCWD, "named2", AT_SYMLINK_FOLLOW));
  const UniqueFd empty(open(".", O_RDWR | O_TMPFILE, 0600));
  Call("link-empty-path", linkat(empty.get(), "", AT_FDCWD, "by-fd", AT_EMPTY_PATH));
  const UniqueFd exclusive = Opened("exclusive", open(".", O_RDWR | O_TMPFILE | O_EXCL, 0666));
  Call("exclusive-link", linkat(AT_FDCWD, ("/proc/self/fd/" + std::to_string(exclusive.get())).c_str(), AT_FDCWD,
                                "exclusive", AT_SYMLINK_FOLLOW));
  Opened("read-only", open(".", O_RDONLY | O_TMPFILE, 0666));
  Opened("write-only", open(".", O_WRONLY | O_TMPFILE, 0666));
  Opened("in-file", open("named", O_RDWR | O_TMPFILE, 0666));
  Opened("in-missing", open("missing", O_RDWR | O_TMPFILE, 0666));
  MakeDir("setgid", 02777, 0, 2000);
  const UniqueFd inherited(open("setgid", O_RDWR | O_TMPFILE, 0666));
  Fact("in-setgid-dir", Look(inherited.get()));
  MakeDir("no-write", 0755);
  As({}, [] {
    Opened("denied", open("no-write", O_RDWR | O_TMPFILE, 0666));
    const UniqueFd own = Opened("user", open("setgid", O_RDWR | O_TMPFILE, 0666));
    Fact("user-look", Look(own.get()));
  });
}

}  // namespace kata::files
