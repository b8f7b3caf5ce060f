// SPDX-License-Identifier: Apache-2.0
// Times of files: what sets them, how exactly they are kept, what statx says.
#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>

#include "areas.h"

namespace kata::files {
namespace {

std::string Shown(const timespec& time) { return std::to_string(time.tv_sec) + "." + std::to_string(time.tv_nsec); }

void Setting() {
  Make("set", "text");
  const auto set = [](const char* fact, const timespec& access, const timespec& modification) {
    const timespec times[2] = {access, modification};
    Call(fact, utimensat(AT_FDCWD, "set", times, 0));
    const struct stat status = Status("set");
    Fact(std::string(fact) + "-times", Shown(status.st_atim) + " " + Shown(status.st_mtim));
  };
  set("set-nanoseconds", {1'000'000'000, 123'456'789}, {1'100'000'000, 999'999'999});
  set("set-before-1970", {-1, 5}, {-2'000'000'000, 0});
  set("set-after-2038", {2'147'483'648, 1}, {4'000'000'000, 2});
  set("set-2446", {15'032'385'535, 0}, {15'032'385'535, 0});
  set("set-back", {1000, 0}, {2000, 0});
  set("omit-access", {0, UTIME_OMIT}, {3000, 0});
  set("omit-modification", {4000, 0}, {0, UTIME_OMIT});
  set("omit-both", {0, UTIME_OMIT}, {0, UTIME_OMIT});
  set("invalid", {0, 1'000'000'000}, {0, 0});
  {
    const timespec now[2] = {{0, UTIME_NOW}, {0, UTIME_NOW}};
    timespec before;
    clock_gettime(CLOCK_REALTIME, &before);
    Call("now", utimensat(AT_FDCWD, "set", now, 0));
    const struct stat status = Status("set");
    Is("now-is-the-clocks", status.st_mtim.tv_sec >= before.tv_sec - 1 && status.st_mtim.tv_sec <= before.tv_sec + 5);
    Is("now-both-same", Same(status.st_atim, status.st_mtim));
  }
  Ignore(symlink("set", "link"));
  const timespec times[2] = {{5000, 0}, {6000, 0}};
  Call("symlink-nofollow", utimensat(AT_FDCWD, "link", times, AT_SYMLINK_NOFOLLOW));
  Fact("symlink-nofollow-times", Shown(Status("link").st_mtim));
  Is("symlink-nofollow-target-kept", Status("set").st_mtim.tv_sec != 6000);
  const UniqueFd read_only(open("set", O_RDONLY));
  Call("futimens-read-only-fd", futimens(read_only.get(), times));
  Fact("futimens-read-only-fd-times", Shown(Status("set").st_mtim));
  MakeDir("dir");
  Call("dir", utimensat(AT_FDCWD, "dir", times, 0));
  Fact("dir-times", Shown(Status("dir").st_mtim));
  As({}, [&] {
    Call("other-explicit", utimensat(AT_FDCWD, "set", times, 0));
    Call("other-now", utimensat(AT_FDCWD, "set", nullptr, 0));
  });
  Make("anyones", "", 0666);
  As({}, [&] {
    Call("writer-explicit", utimensat(AT_FDCWD, "anyones", times, 0));
    Call("writer-now", utimensat(AT_FDCWD, "anyones", nullptr, 0));
  });
}

// Which times an action changes.
void Changes(const std::string& fact, const std::string& path, const std::function<void()>& action) {
  const struct stat before = Status(path);
  Tick();
  action();
  const struct stat after = Status(path);
  std::string text;
  if (!Same(before.st_atim, after.st_atim)) text += " atime";
  if (!Same(before.st_mtim, after.st_mtim)) text += " mtime";
  if (!Same(before.st_ctim, after.st_ctim)) text += " ctime";
  Fact("changes-" + fact, text.empty() ? "none" : text.substr(1));
}

void Changing() {
  Make("file", "0123456789");
  const UniqueFd fd(open("file", O_RDWR));
  // relatime: an access is noted when the noted one is not later than the modification, or a day old.
  Changes("read-first", "file", [&] { ContentsAt(fd.get(), 0); });
  Changes("read-second", "file", [&] { ContentsAt(fd.get(), 0); });
  Changes("write", "file", [&] { Ignore(pwrite(fd.get(), "x", 1, 0)); });
  Changes("write-nothing", "file", [&] { Ignore(pwrite(fd.get(), "", 0, 0)); });
  Changes("truncate-smaller", "file", [&] { Ignore(ftruncate(fd.get(), 5)); });
  Changes("truncate-same-size", "file", [&] { Ignore(ftruncate(fd.get(), 5)); });
  Changes("truncate-by-name-same-size", "file", [&] { Ignore(truncate("file", 5)); });
  Changes("truncate-larger", "file", [&] { Ignore(ftruncate(fd.get(), 50)); });
  Changes("open-trunc", "file", [] { Ignore(close(open("file", O_WRONLY | O_TRUNC))); });
  Changes("open-trunc-of-empty", "file", [] { Ignore(close(open("file", O_WRONLY | O_TRUNC))); });
  Changes("fallocate", "file", [&] { Ignore(fallocate(fd.get(), 0, 0, 4096)); });
  Changes("punch-hole", "file",
          [&] { Ignore(fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096)); });
  Changes("chmod", "file", [] { Ignore(chmod("file", 0600)); });
  Changes("chmod-same", "file", [] { Ignore(chmod("file", 0600)); });
  Changes("chown", "file", [] { Ignore(chown("file", 1, 1)); });
  Changes("chown-same", "file", [] { Ignore(chown("file", 1, 1)); });
  Changes("setxattr", "file", [] { Ignore(setxattr("file", "user.x", "y", 1, 0)); });
  Changes("link", "file", [] { Ignore(link("file", "file2")); });
  Changes("rename", "file2", [] { Ignore(rename("file", "file3")); });
  Changes("utimes", "file2", [] { Ignore(utimensat(AT_FDCWD, "file2", nullptr, 0)); });
  Changes("open-close", "file2", [] { Ignore(close(open("file2", O_RDWR))); });
  Changes("fsync", "file2", [&] { Ignore(fsync(fd.get())); });
  Changes("mmap-write", "file2", [&] {
    void* memory = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
    if (memory == MAP_FAILED) return;
    *static_cast<volatile char*>(memory) = 'm';
    Ignore(msync(memory, 4096, MS_SYNC));
    munmap(memory, 4096);
  });
  Changes("unlink-of-another-name", "file3", [] { Ignore(unlink("file2")); });
  MakeDir("listed");
  Make("listed/x");
  Changes("readdir", "listed", [] {
    char buffer[1024];
    const UniqueFd dir(open("listed", O_RDONLY | O_DIRECTORY));
    Ignore(getdents64(dir.get(), buffer, sizeof buffer));
  });
  Ignore(symlink("listed", "symlink"));
  Changes("readlink", "symlink", [] {
    char target[64];
    Ignore(readlink("symlink", target, sizeof target));
  });
  Changes("read-noatime", "file3", [] {
    Ignore(utimensat(AT_FDCWD, "file3", nullptr, 0));
    const struct stat before = Status("file3");
    const UniqueFd quiet(open("file3", O_RDONLY | O_NOATIME));
    Tick();
    ContentsAt(quiet.get(), 0);
    Is("noatime-keeps-atime", Same(before.st_atim, Status("file3").st_atim));
  });

  // Two writes in a row that a build tool must tell from one another.
  Make("first");
  Tick();
  Make("second");
  Is("later-file-is-newer", Status("first").st_mtim < Status("second").st_mtim);
  Make("while-open");
  const UniqueFd open_file(open("while-open", O_RDWR));
  Ignore(Write(open_file.get(), "x"));
  const timespec by_name = Status("while-open").st_mtim;
  Is("fstat-and-stat-agree", Same(by_name, Status(open_file.get()).st_mtim));
  Fact("size-before-close", std::to_string(Status("while-open").st_size));
}

void Statx() {
  Make("born", "text");
  struct statx status = {};
  Call("statx", statx(AT_FDCWD, "born", 0, STATX_ALL, &status));
  Is("statx-btime", (status.stx_mask & STATX_BTIME) != 0);
  Is("statx-btime-before-ctime",
     (status.stx_mask & STATX_BTIME) != 0 && status.stx_btime.tv_sec <= status.stx_ctime.tv_sec);
  Is("statx-basic", (status.stx_mask & STATX_BASIC_STATS) == STATX_BASIC_STATS);
  Is("statx-mount-id", (status.stx_mask & STATX_MNT_ID) != 0);
  Is("statx-attribute-immutable-known", (status.stx_attributes_mask & STATX_ATTR_IMMUTABLE) != 0);
  Is("statx-attribute-append-known", (status.stx_attributes_mask & STATX_ATTR_APPEND) != 0);
  Is("statx-mount-root", (status.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0);
  Call("statx-dont-sync", statx(AT_FDCWD, "born", AT_STATX_DONT_SYNC, STATX_ALL, &status));
  Call("statx-force-sync", statx(AT_FDCWD, "born", AT_STATX_FORCE_SYNC, STATX_ALL, &status));
  Call("statx-both", statx(AT_FDCWD, "born", AT_STATX_FORCE_SYNC | AT_STATX_DONT_SYNC, STATX_ALL, &status));
  const struct stat plain = Status("born");
  Is("statx-agrees-with-stat", plain.st_ino == status.stx_ino && plain.st_mode == status.stx_mode &&
                                   plain.st_mtim.tv_nsec == status.stx_mtime.tv_nsec);
}

}  // namespace

void Times(const Place&) {
  Setting();
  Changing();
  Statx();
}

}  // namespace kata::files
