// SPDX-License-Identifier: Apache-2.0
// What is done by one mount of a directory is seen at once by the other, as by two names of one file system.
#include <dirent.h>
#include <fcntl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <set>

#include "areas.h"

namespace kata::files {
namespace {

std::string List(const std::string& path) {
  std::set<std::string> names;
  DIR* dir = opendir(path.c_str());
  if (dir == nullptr) return ErrorName(errno);
  while (const dirent* entry = readdir(dir))
    if (entry->d_name[0] != '.') names.insert(entry->d_name);
  closedir(dir);
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : " ") + name;
  return text.empty() ? "nothing" : text;
}

}  // namespace

void Coherence(const Place& place) {
  const std::string there = place.there + "/";
  Make("file", "first");
  Is("same-device-and-inode",
     Status("file").st_ino == Status(there + "file").st_ino && Status("file").st_dev == Status(there + "file").st_dev);
  Call("rename-across", rename("file", (there + "x").c_str()));
  Call("link-across", link("file", (there + "x").c_str()));

  // An open file that both have in their caches.
  const UniqueFd here_fd(open("file", O_RDWR)), there_fd(open((there + "file").c_str(), O_RDWR));
  Fact("read-there", ContentsAt(there_fd.get(), 0));
  Ignore(pwrite(here_fd.get(), "SECOND", 6, 0));
  Fact("write-seen-by-open-file", ContentsAt(there_fd.get(), 0));
  Fact("write-seen-by-size", std::to_string(Status(there_fd.get()).st_size));
  Ignore(pwrite(there_fd.get(), "third", 5, 0));
  Fact("write-back-seen", ContentsAt(here_fd.get(), 0));
  Ignore(ftruncate(here_fd.get(), 2));
  Fact("truncate-seen", ContentsAt(there_fd.get(), 0));
  Fact("truncate-seen-by-stat", std::to_string(Status(there + "file").st_size));
  Call("seek-end", lseek(there_fd.get(), 0, SEEK_END));
  {
    // Each must append after what the other has.
    const UniqueFd a(open("file", O_WRONLY | O_APPEND)), b(open((there + "file").c_str(), O_WRONLY | O_APPEND));
    for (int i = 0; i < 3; ++i) {
      Ignore(Write(a.get(), "a"));
      Ignore(Write(b.get(), "b"));
    }
    Fact("append-in-turn", Contents("file"));
  }
  Ignore(chmod(there.c_str(), 0755));
  Ignore(chmod("file", 0640));
  Fact("chmod-seen", Look(there + "file"));
  Ignore(chown((there + "file").c_str(), 5, 6));
  Fact("chown-seen", Look("file"));
  Ignore(setxattr("file", "user.a", "b", 1, 0));
  char value[8];
  Call("xattr-seen", getxattr((there + "file").c_str(), "user.a", value, sizeof value));
  const timespec times[2] = {{1, 0}, {2, 0}};
  Ignore(utimensat(AT_FDCWD, "file", times, 0));
  Is("utimes-seen", Status(there + "file").st_mtime == 2);

  // Names that the other's cache knows, or knows not to be there.
  Fact("new-missing", Look(there + "new"));
  Make("new", "new");
  Fact("new-seen", Look(there + "new"));
  Ignore(rename("new", "renamed"));
  Fact("rename-old-name", Look(there + "new"));
  Fact("rename-new-name", Contents(there + "renamed"));
  Ignore(unlink("renamed"));
  Fact("unlink-seen", Look(there + "renamed"));
  Opened("unlink-seen-by-open", open((there + "renamed").c_str(), O_RDONLY));
  Make("replaced", "old");
  Fact("replaced-before", Contents(there + "replaced"));
  Make("replacement", "new");
  Ignore(rename("replacement", "replaced"));
  Fact("replaced-after", Contents(there + "replaced"));
  Ignore(symlink("replaced", "current"));
  Fact("symlink-before", Contents(there + "current"));
  Make("other", "other");
  Ignore(symlink("other", "current.new"));
  Ignore(rename("current.new", "current"));
  Fact("symlink-replaced", Contents(there + "current"));
  MakeDir("dir");
  Make("dir/one");
  Fact("list-before", List(there + "dir"));
  Make("dir/two");
  Ignore(unlink("dir/one"));
  Fact("list-after", List(there + "dir"));
  Ignore(mkdir("dir/sub", 0777));
  Fact("links-of-dir", std::to_string(Status(there + "dir").st_nlink));
  Ignore(rename("dir", "moved"));
  Fact("dir-rename-old-name", Look(there + "dir"));
  Fact("dir-rename-list", List(there + "moved"));
  Ignore(link("file", "hard"));
  Fact("link-count-seen", std::to_string(Status(there + "file").st_nlink));
  Fact("link-count-of-open-file", std::to_string(Status(there_fd.get()).st_nlink));

  // Open by the one, removed by the other.
  Make("kept", "kept");
  const UniqueFd kept(open((there + "kept").c_str(), O_RDWR));
  Call("remove-open-of-other", unlink("kept"));
  Fact("remove-open-read", ContentsAt(kept.get(), 0));
  Call("remove-open-write", pwrite(kept.get(), "more", 4, 0));
  Fact("remove-open-links", std::to_string(Status(kept.get()).st_nlink));
  Call("remove-open-chmod", fchmod(kept.get(), 0600));
  Make("kept", "another");
  Fact("remove-open-still", ContentsAt(kept.get(), 0));
  InChild([&] {
    Ignore(mkdir("cwd", 0777));
    Ignore(chdir((there + "cwd").c_str()));
    Ignore(rename((place.here + "/cwd").c_str(), (place.here + "/cwd2").c_str()));
    Opened("cwd-renamed-creat", open("x", O_RDWR | O_CREAT, 0666));
    Fact("cwd-renamed-list", List(place.here + "/cwd2"));
    return 0;
  });
  Call("rmdir-of-other", rmdir((there + "moved/sub").c_str()));
  Fact("rmdir-of-other-seen", Look("moved/sub"));
}

}  // namespace kata::files
