// SPDX-License-Identifier: Apache-2.0
// The flags of lsattr and chattr, and project numbers. All flags are taken back: nobody could remove the files.
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>

#include "areas.h"

namespace kata::files {
namespace {

std::string Get(const char* path) {
  const UniqueFd fd(open(path, O_RDONLY | O_NONBLOCK));
  int flags = 0;
  if (ioctl(fd.get(), FS_IOC_GETFLAGS, &flags) != 0) return ErrorName(errno);
  std::string text;
  const struct {
    int bit;
    const char* name;
  } bits[] = {{FS_IMMUTABLE_FL, "immutable"},
              {FS_APPEND_FL, "append"},
              {FS_NODUMP_FL, "nodump"},
              {FS_NOATIME_FL, "noatime"},
              {FS_SYNC_FL, "sync"}};
  for (const auto& [bit, name] : bits)
    if ((flags & bit) != 0) text += (text.empty() ? "" : " ") + std::string(name);
  return text.empty() ? "none" : text;
}

long Set(const char* path, int flags) {
  const UniqueFd fd(open(path, O_RDONLY));
  int old = 0;
  if (ioctl(fd.get(), FS_IOC_GETFLAGS, &old) != 0) return -1;
  constexpr int kOurs = FS_IMMUTABLE_FL | FS_APPEND_FL | FS_NODUMP_FL | FS_NOATIME_FL | FS_SYNC_FL;
  flags |= old & ~kOurs;
  return ioctl(fd.get(), FS_IOC_SETFLAGS, &flags);
}

}  // namespace

void Flags(const Place&) {
  Make("file", "text", 0666);
  MakeDir("dir", 0777);
  Fact("get-file", Get("file"));
  Fact("get-dir", Get("dir"));
  Call("set-nodump", Set("file", FS_NODUMP_FL));
  Fact("set-nodump-get", Get("file"));
  Call("set-noatime", Set("file", FS_NOATIME_FL));
  Fact("set-noatime-get", Get("file"));
  Call("clear", Set("file", 0));

  Call("set-append", Set("file", FS_APPEND_FL));
  Opened("append-open-write", open("file", O_WRONLY));
  {
    const UniqueFd fd = Opened("append-open-append", open("file", O_WRONLY | O_APPEND));
    Call("append-write", Write(fd.get(), "more"));
    Call("append-truncate", ftruncate(fd.get(), 0));
  }
  Call("append-unlink", unlink("file"));
  Make("file", "text", 0666);
  Call("append-rename", rename("file", "file"));
  Call("append-clear", Set("file", 0));

  Make("fixed", "text", 0666);
  Call("set-immutable", Set("fixed", FS_IMMUTABLE_FL));
  Fact("set-immutable-get", Get("fixed"));
  struct statx status = {};
  Ignore(statx(AT_FDCWD, "fixed", 0, STATX_ALL, &status));
  Is("set-immutable-statx", (status.stx_attributes & STATX_ATTR_IMMUTABLE) != 0);
  Opened("immutable-open-write", open("fixed", O_WRONLY));
  Call("immutable-chmod", chmod("fixed", 0600));
  Call("immutable-link", link("fixed", "fixed2"));
  Call("immutable-unlink", unlink("fixed"));
  Call("immutable-utimes", utimensat(AT_FDCWD, "fixed", nullptr, 0));
  Call("immutable-clear", Set("fixed", 0));

  Call("dir-set-append", Set("dir", FS_APPEND_FL));
  Opened("dir-append-creat", open("dir/file", O_RDWR | O_CREAT, 0666));
  Call("dir-append-unlink", unlink("dir/file"));
  Call("dir-append-clear", Set("dir", 0));
  Call("dir-set-immutable", Set("dir", FS_IMMUTABLE_FL));
  Opened("dir-immutable-creat", open("dir/file2", O_RDWR | O_CREAT, 0666));
  Call("dir-immutable-clear", Set("dir", 0));

  Make("owned", "", 0644, 1000, 1000);
  As({}, [] {
    Call("owner-set-nodump", Set("owned", FS_NODUMP_FL));
    Call("owner-set-immutable", Set("owned", FS_IMMUTABLE_FL));
    Call("other-set-nodump", Set("file", FS_NODUMP_FL));
  });
  const UniqueFd fd(open("owned", O_RDONLY));
  fsxattr attributes = {};
  Call("project-get", ioctl(fd.get(), FS_IOC_FSGETXATTR, &attributes));
  Fact("project-number", std::to_string(attributes.fsx_projid));
  int version = 0;
  Call("version", ioctl(fd.get(), FS_IOC_GETVERSION, &version));
  char label[FSLABEL_MAX] = {};
  Call("label", ioctl(fd.get(), FS_IOC_GETFSLABEL, label));
  Ignore(mkfifo("fifo", 0666));
  Fact("get-fifo", Get("fifo"));
}

}  // namespace kata::files
