// SPDX-License-Identifier: Apache-2.0
// Reading directories: what is listed, and what of it while the directory changes.
#include <dirent.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <memory>
#include <set>

#include "areas.h"

namespace kata::files {
namespace {

constexpr int kMany = 200;

struct Closer {
  void operator()(DIR* dir) const { closedir(dir); }
};
using Dir = std::unique_ptr<DIR, Closer>;

Dir OpenDir(const char* path) { return Dir(opendir(path)); }

std::string Name(int number) { return "a-name-that-is-not-so-short-" + std::to_string(number); }

void Fill(const std::string& path, int count = kMany) {
  MakeDir(path);
  for (int i = 0; i < count; ++i) Ignore(mknod((path + "/" + Name(i)).c_str(), S_IFREG | 0644, 0));
}

// Each name and how often it came.
std::map<std::string, int> Rest(DIR* dir) {
  std::map<std::string, int> names;
  while (const dirent* entry = readdir(dir)) ++names[entry->d_name];
  return names;
}

std::string Summary(const std::map<std::string, int>& names) {
  int twice = 0;
  for (const auto& [name, count] : names) twice += count > 1 ? 1 : 0;
  return std::to_string(names.size()) + " names, " + std::to_string(twice) + " twice";
}

void Listing() {
  Fill("many");
  const Dir dir = OpenDir("many");
  std::map<std::string, int> names = Rest(dir.get());
  Fact("all", Summary(names));
  Is("dot-and-dotdot", names.contains(".") && names.contains(".."));
  Fact("after-the-end", Summary(Rest(dir.get())));
  rewinddir(dir.get());
  Make("many/later");
  Fact("rewound", Summary(Rest(dir.get())));
  Ignore(unlink("many/later"));
  rewinddir(dir.get());
  Fact("rewound-after-unlink", Summary(Rest(dir.get())));

  MakeDir("types");
  Make("types/file");
  MakeDir("types/dir");
  Ignore(symlink("x", "types/symlink"));
  Ignore(mkfifo("types/fifo", 0644));
  Ignore(mknod("types/socket", S_IFSOCK | 0644, 0));
  Ignore(mknod("types/char", S_IFCHR | 0644, makedev(1, 3)));
  Ignore(mknod("types/block", S_IFBLK | 0644, makedev(7, 200)));
  const Dir types = OpenDir("types");
  std::map<std::string, std::string> shown;
  bool inodes = true;
  while (const dirent* entry = readdir(types.get())) {
    if (entry->d_name[0] == '.') continue;
    shown[entry->d_name] = std::to_string(entry->d_type);
    inodes = inodes && entry->d_ino == Status(std::string("types/") + entry->d_name).st_ino;
  }
  for (const auto& [name, type] : shown) Fact("d-type-" + name, type);
  Is("d-ino-is-st-ino", inodes);
  const Dir dots = OpenDir("types");
  std::map<std::string, ino_t> numbers;
  while (const dirent* entry = readdir(dots.get())) numbers[entry->d_name] = entry->d_ino;
  Is("d-ino-of-dot", numbers["."] == Status("types/.").st_ino);
  Is("d-ino-of-dotdot", numbers[".."] == Status("types/..").st_ino);
}

void Seeking() {
  Fill("seek");
  const Dir dir = OpenDir("seek");
  std::vector<std::string> names;
  std::vector<long> places;
  for (;;) {
    const long place = telldir(dir.get());
    const dirent* entry = readdir(dir.get());
    if (entry == nullptr) break;
    names.emplace_back(entry->d_name);
    places.push_back(place);
  }
  Is("places-differ", std::set<long>(places.begin(), places.end()).size() == places.size());
  int right = 0;
  for (size_t i = 0; i < names.size(); i += 7) {
    seekdir(dir.get(), places[i]);
    const dirent* entry = readdir(dir.get());
    right += entry != nullptr && names[i] == entry->d_name ? 1 : 0;
  }
  Fact("seek-back", std::to_string(right) + " of " + std::to_string((names.size() + 6) / 7));
  seekdir(dir.get(), places[names.size() / 2]);
  Fact("seek-to-the-middle-rest", Summary(Rest(dir.get())));

  // A place that was told stays good while names before it go.
  const size_t middle = names.size() / 2;
  for (size_t i = 0; i < middle; ++i)
    if (names[i] != "." && names[i] != "..") Ignore(unlink(("seek/" + names[i]).c_str()));
  seekdir(dir.get(), places[middle]);
  const dirent* entry = readdir(dir.get());
  Is("seek-after-unlink-of-those-before", entry != nullptr && names[middle] == entry->d_name);
}

void Changing() {
  // As `rm -r` does: each name is removed when it has been read.
  Fill("emptied");
  {
    const Dir dir = OpenDir("emptied");
    int removed = 0;
    while (const dirent* entry = readdir(dir.get())) {
      if (entry->d_name[0] == '.') continue;
      removed += unlinkat(dirfd(dir.get()), entry->d_name, 0) == 0 ? 1 : 0;
    }
    Fact("removed-while-read", std::to_string(removed));
  }
  Call("removed-while-read-rmdir", rmdir("emptied"));

  // Names that are there all the time come once, whatever comes and goes beside them.
  Fill("busy");
  {
    const Dir dir = OpenDir("busy");
    std::map<std::string, int> names;
    int number = 0;
    while (const dirent* entry = readdir(dir.get())) {
      ++names[entry->d_name];
      if (number < 100) {
        const std::string name = "busy/new" + std::to_string(number++);
        Ignore(mknod(name.c_str(), S_IFREG | 0644, 0));
        if (number % 2 == 0) Ignore(unlink(name.c_str()));
      }
    }
    int once = 0;
    for (int i = 0; i < kMany; ++i) once += names[Name(i)] == 1 ? 1 : 0;
    Fact("old-names-once", std::to_string(once));
  }
  Fill("renamed", 50);
  {
    const Dir dir = OpenDir("renamed");
    std::set<std::string> seen;
    int steps = 0;
    // Every name gets another one; it must not come for ever.
    while (const dirent* entry = readdir(dir.get())) {
      if (entry->d_name[0] == '.' || ++steps > 1000) continue;
      const std::string name = entry->d_name;
      Ignore(renameat(dirfd(dir.get()), name.c_str(), dirfd(dir.get()), ("r" + name).c_str()));
    }
    Is("renamed-while-read-ends", steps <= 1000);
  }
  {
    const Dir one = OpenDir("many"), two = OpenDir("many");
    for (int i = 0; i < 10; ++i) Ignore(readdir(one.get()) != nullptr ? 0 : 1);
    Fact("two-readers", Summary(Rest(two.get())));
    Fact("two-readers-first", Summary(Rest(one.get())));
  }
  MakeDir("gone");
  const Dir gone = OpenDir("gone");
  Ignore(rmdir("gone"));
  Fact("removed-dir", Summary(Rest(gone.get())));
}

void Descriptors() {
  MakeDir("dir");
  Make("dir/file");
  const UniqueFd fd(open("dir", O_RDONLY | O_DIRECTORY));
  alignas(8) char buffer[4096];
  Call("read", read(fd.get(), buffer, sizeof buffer));
  Call("pwrite", pwrite(fd.get(), "x", 1, 0));
  Call("fsync", fsync(fd.get()));
  Call("ftruncate", ftruncate(fd.get(), 0));
  Call("getdents-small-buffer", syscall(SYS_getdents64, fd.get(), buffer, 10));
  Is("getdents", syscall(SYS_getdents64, fd.get(), buffer, sizeof buffer) > 0);
  Call("getdents-at-end", syscall(SYS_getdents64, fd.get(), buffer, sizeof buffer));
  Call("lseek-start", lseek(fd.get(), 0, SEEK_SET));
  Is("getdents-again", syscall(SYS_getdents64, fd.get(), buffer, sizeof buffer) > 0);
  Call("lseek-negative", lseek(fd.get(), -1, SEEK_SET));
  const UniqueFd file(open("dir/file", O_RDONLY));
  Call("getdents-of-file", syscall(SYS_getdents64, file.get(), buffer, sizeof buffer));
  const UniqueFd path(open("dir", O_PATH));
  Call("getdents-of-path", syscall(SYS_getdents64, path.get(), buffer, sizeof buffer));
  Call("fchdir", fchdir(fd.get()));
  Fact("fchdir-file", Look("file"));
  Ignore(chdir(".."));
  Is("size-not-zero", Status("dir").st_size > 0);
  const std::string longest(255, 'n');
  Make("dir/" + longest);
  const Dir dir = OpenDir("dir");
  Is("longest-name-listed", Rest(dir.get()).contains(longest));
  MakeDir("unreadable", 0300, 1000, 1000);
  As({}, [] { Opened("unreadable", open("unreadable", O_RDONLY | O_DIRECTORY)); });
}

}  // namespace

void Directories(const Place&) {
  Listing();
  Seeking();
  Changing();
  Descriptors();
}

}  // namespace kata::files
