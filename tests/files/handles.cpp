// SPDX-License-Identifier: Apache-2.0
// Open by handle, as NFS servers and backup programs do.
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <cerrno>

#include "areas.h"

namespace kata::files {
namespace {

struct Handle {
  alignas(file_handle) char memory[sizeof(file_handle) + MAX_HANDLE_SZ] = {};
  int mount = 0;
  file_handle* get() { return reinterpret_cast<file_handle*>(memory); }
};

long Find(Handle& handle, const char* path, int flags = 0) {
  handle.get()->handle_bytes = MAX_HANDLE_SZ;
  return name_to_handle_at(AT_FDCWD, path, handle.get(), &handle.mount, flags);
}

}  // namespace

void Handles(const Place&) {
  Make("file", "text");
  MakeDir("dir");
  const UniqueFd mount(open(".", O_RDONLY));
  Handle small = {};
  Call("size", name_to_handle_at(AT_FDCWD, "file", small.get(), &small.mount, 0));
  Handle file, dir, gone, link;
  Call("file", Find(file, "file"));
  Call("dir", Find(dir, "dir"));
  const UniqueFd fd = Opened("file-open", open_by_handle_at(mount.get(), file.get(), O_RDWR));
  Fact("file-content", ContentsAt(fd.get(), 0));
  Opened("dir-open", open_by_handle_at(mount.get(), dir.get(), O_RDONLY | O_DIRECTORY));
  Ignore(rename("file", "dir/renamed"));
  const UniqueFd renamed = Opened("renamed-open", open_by_handle_at(mount.get(), file.get(), O_RDONLY));
  Fact("renamed-content", ContentsAt(renamed.get(), 0));
  Ignore(symlink("dir", "link"));
  Call("symlink", Find(link, "link"));
  Opened("symlink-open-path", open_by_handle_at(mount.get(), link.get(), O_PATH | O_NOFOLLOW));
  Make("gone");
  Call("unlinked", Find(gone, "gone"));
  Ignore(unlink("gone"));
  Opened("unlinked-open", open_by_handle_at(mount.get(), gone.get(), O_RDONLY));
  // A handle names one file for ever: never one that came later and got what identified it.
  bool another = false;
  for (int i = 0; i < 50; ++i) {
    Make("old");
    Handle old;
    Ignore(Find(old, "old"));
    Ignore(unlink("old"));
    Make("later");
    const UniqueFd later(open_by_handle_at(mount.get(), old.get(), O_RDONLY));
    another = another || later.valid();
    Ignore(unlink("later"));
  }
  Is("unlinked-opens-another", another);
  As({}, [&] {
    Opened("user-open", open_by_handle_at(mount.get(), file.get(), O_RDONLY));
    Handle own;
    Call("user-find", Find(own, "dir"));
  });
}

}  // namespace kata::files
